"""Done-when 6: logs that somebody crafted are refused in one line, or shown and never obeyed."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.imports.making import HOMES, LM_EVAL, changed_inspect, changed_lm_eval, zipped
from ullage.cli import app
from ullage.errors import InputError
from ullage.imports import Options, read_log, run_import, safely
from ullage.imports.safely import parse_json

HEADER = b"{}"
EVIL = "\x1b[2J\x1b]0;gone\x07</script><script>alert(1)</script>\u202e../../etc/passwd\ud800\x00"


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_log(path, Options())
    message = str(caught.value)
    assert message.startswith(str(path)) and message.isprintable()
    return message


@pytest.mark.parametrize("method", ["zstd", "deflate"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, method: str) -> None:
    zeros = b" " * (32 * 2**20)
    path = tmp_path / "bomb.eval"
    if method == "zstd":
        zipped(path, {"header.json": zeros})
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.json", zeros)
    assert "times its size" in refused(path)


def test_a_bomb_that_lies_about_its_size_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safely, "MOST_BYTES", 2**20)
    path = zipped(tmp_path / "liar.eval", {"header.json": b" " * 2**22}, claims=1000)
    assert "MB of JSON in one piece" in refused(path)


def test_an_entry_of_another_length_than_it_says_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "liar.eval", {"header.json": b"{}"}, claims=1000)
    assert "not as long as the archive says" in refused(path)


def test_many_small_entries_are_a_bomb_too(tmp_path: Path) -> None:
    each = b" " * 2**19
    path = zipped(tmp_path / "many.eval", {f"samples/{n}.json": each for n in range(200)})
    assert "times its size" in refused(path)


@pytest.mark.parametrize(
    "name",
    ["../header.json", "samples/../../x.json", "/etc/passwd", "..\\x.json", "C:\\x.json", "a\0b"],
)
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "slip.eval", {"header.json": HEADER, name: b"{}"})
    assert "leads outside the archive" in refused(path)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.eval"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("header.json", "[]")
    assert "two entries of one name" in refused(path)


def test_zips_that_are_cut_or_damaged_are_refused(tmp_path: Path) -> None:
    whole = next((LM_EVAL["teacher"].parents[1] / "inspect" / "teacher").glob("*sums*.eval"))
    data = whole.read_bytes()
    path = tmp_path / "cut.eval"
    for cut in (b"", b"PK", data[: len(data) // 2], data[:-30]):
        path.write_bytes(cut)
        refused(path)
    for place in range(0, len(data), len(data) // 150):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            read_log(path, Options())
        except InputError as error:
            assert str(error).startswith(str(path))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested deeper"),
        (b"9" * 5_000, "a number of 5,000 digits"),
        (b"[0." + b"1" * 5_000 + b"]", "a number of 5,002 digits"),
        (b"[" + b"0," * 4_000_001 + b"0]", "JSON of over 4,000,000 values"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b'{"a": 1', "not JSON"),
        (b"\x1b[2J", "not JSON"),
    ],
    ids=["deep list", "deep object", "long int", "long float", "wide", "bytes", "cut", "escape"],
)
def test_a_json_bomb_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_json(data, "log.json")
    assert str(caught.value).startswith("log.json: ") and str(caught.value).isprintable()


def test_a_json_too_long_for_a_log_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safely, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="in one piece"):
        parse_json(b'"0123456789"', "log.json")


@pytest.mark.parametrize("shape", ["[]", "null", "7", '"x"', "{}", '{"eval": []}', '{"eval": {}}'])
def test_json_that_is_no_log_is_refused(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "log.json"
    path.write_text(shape)
    refused(path)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "results_1.json").write_text(shape)
    with pytest.raises(InputError, match=r"no results of lm-eval|no samples beside"):
        read_log(folder, Options())


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "latin-1"])
def test_another_encoding_is_refused_by_name(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "log.json"
    path.write_bytes('{"eval": {"task": "café"}}'.encode(codec))
    assert "is not UTF-8" in refused(path) or "not JSON" in refused(path)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(b"\xef\xbb\xbf" + HOMES["teacher"].read_bytes())
    assert read_log(path, Options()).evals == read_log(HOMES["teacher"], Options()).evals


def test_a_link_to_a_file_that_is_no_log_shows_nothing_of_it(tmp_path: Path) -> None:
    """A folder of logs from somebody else may link to what they would like to see."""
    (tmp_path / "secret").write_text("hunter2 is the password")
    folder = changed_lm_eval("teacher", tmp_path)
    for name in ("samples_small_sums_*", "results_*"):
        path = next(folder.glob(name))
        whole = path.read_bytes()
        path.unlink()
        path.symlink_to(tmp_path / "secret")
        assert "hunter2" not in refused(folder)
        path.unlink()
        path.write_bytes(whole)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = changed_lm_eval("teacher", tmp_path)
    path = next(folder.glob("samples_small_sums_*"))
    path.unlink()
    os.mkfifo(path)
    assert "is no file" in refused(folder)


JUNK: tuple[Any, ...] = (None, 1e300, EVIL, [], {}, [[None]], {"a": None})


@pytest.mark.parametrize(
    "junk", JUNK, ids=[type(one).__name__ + str(n) for n, one in enumerate(JUNK)]
)
def test_any_field_may_be_junk(tmp_path: Path, junk: object) -> None:
    """Each field of a log in turn is something else: an import, or one line; never a traceback."""
    log, student = (json.loads(HOMES[arm].read_bytes()) for arm in ("teacher", "student"))
    for one in (*log["samples"], *student["samples"]):
        del one["events"]
    other = tmp_path / "student.json"
    other.write_text(json.dumps(student))
    sample = log["samples"][0]
    places = [(log, key) for key in log] + [(log["eval"], key) for key in log["eval"]]
    places += [(log["results"], key) for key in log["results"]]
    places += [(log["results"]["scores"][0], key) for key in log["results"]["scores"][0]]
    places += [(sample, key) for key in sample] + [(sample["output"], "completion")]
    path = tmp_path / "log.json"
    for holder, key in places:
        kept = holder[key]
        holder[key] = junk
        path.write_text(json.dumps(log))
        holder[key] = kept
        _imports_or_tells(path, other, tmp_path)


@pytest.mark.parametrize(
    "junk", JUNK, ids=[type(one).__name__ + str(n) for n, one in enumerate(JUNK)]
)
def test_any_field_of_lm_eval_may_be_junk(tmp_path: Path, junk: object) -> None:
    folder, student = (changed_lm_eval(arm, tmp_path) for arm in ("teacher", "student"))
    for path in (*folder.glob("samples_*"), *student.glob("samples_*")):
        if "small_sums" not in path.name:
            path.unlink()
    samples = next(folder.glob("samples_small_sums_*"))
    results = next(folder.glob("results_*"))
    rows = [json.loads(line) for line in samples.read_bytes().splitlines()]
    whole = json.loads(results.read_bytes())
    for key in rows[0]:
        changed = [{**rows[0], key: junk}, *rows[1:]]
        samples.write_text("".join(json.dumps(row) + "\n" for row in changed))
        _imports_or_tells(folder, student, tmp_path)
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for key in whole:
        results.write_text(json.dumps({**whole, key: junk}))
        _imports_or_tells(folder, student, tmp_path)


def _imports_or_tells(teacher: Path, student: Path, folder: Path) -> None:
    try:
        run_import({"teacher": teacher, "student": student}, folder / "made", force=True)
    except InputError as error:
        assert str(error).isprintable()


def evil_lm_eval(arm: str, to: Path) -> Path:
    """Hostile text wherever lm-eval's logs hold text, the task's name and file included."""

    def spoil(row: Any) -> None:
        row["doc"]["question"] = row["target"] = EVIL
        row["arguments"]["gen_args_0"]["arg_0"] = EVIL
        row["resps"] = [[EVIL]]
        row["filter"] = EVIL
        row[EVIL] = row["exact_match"]

    def rename(results: Any) -> None:
        figures = results["results"]["small_sums"]
        right = sum(value for key, value in figures.items() if key.startswith("exact_match,"))
        figures[f"{EVIL},{EVIL}"] = right / 2
        results["higher_is_better"]["small_sums"] = {EVIL: True}
        results["versions"]["small_sums"] = results["model_name"] = EVIL
        results["config"]["model_args"] = {"pretrained": EVIL, "api_key": "sk-secret"}
        results["lm_eval_version"] = EVIL

    def number(row: Any) -> None:
        spoil(row)
        # Both filters' rows now are of one; keep ids apart.
        number.count += 1  # type: ignore[attr-defined]
        row["doc_id"] = f"{EVIL}{number.count}"  # type: ignore[attr-defined]

    number.count = 0  # type: ignore[attr-defined]
    return changed_lm_eval(arm, to, results=rename, small_sums=number)


def test_hostile_text_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    places = {arm: evil_lm_eval(arm, tmp_path) for arm in ("teacher", "student")}
    command = ["import", "--teacher", str(places["teacher"]), "--student", str(places["student"])]
    result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "made"), "--audit"])
    assert result.exit_code == 1, result.output
    assert "\x1b" not in result.output and "\u202e" not in result.output
    html = (tmp_path / "made" / "runs" / "imported" / "statement.html").read_text("utf-8")
    assert "<script>alert" not in html and "\u202e" not in html
    judged = json.loads((tmp_path / "made" / "runs" / "imported" / "statement.json").read_bytes())
    evil = [f for f in judged["findings"] if f["target"]["probe"].startswith("small-sums")]
    assert evil and evil[0]["values"]["teacher"]["items"] == 48
    everything = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert not any(b"sk-secret" in path.read_bytes() for path in everything)
    assert {path.parent.name for path in everything} <= {"made", "items", "imported"}


def test_an_import_tells_hostile_names_safely(tmp_path: Path) -> None:
    def rename(log: Any) -> None:
        log["eval"]["task"] = log["eval"]["model"] = EVIL
        log["samples"][0]["id"] = EVIL

    places = {arm: changed_inspect(arm, tmp_path, rename) for arm in ("teacher", "student")}
    command = ["import", "--teacher", str(places["teacher"]), "--student", str(places["student"])]
    result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
