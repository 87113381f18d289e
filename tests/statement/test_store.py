from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import statements
from ullage.errors import InputError
from ullage.statement import jcs, store
from ullage.statement.document import Statement
from ullage.statement.html import to_html
from ullage.statement.markdown import to_markdown
from ullage.statement.store import NAMES, json_schema, read, to_bytes, write_all

ALL = {
    "every": statements.every_verdict(),
    "kept": statements.all_kept(),
    "bare": statements.bare(),
    "many": statements.many(),
    "hostile": statements.hostile(),
}
each = pytest.mark.parametrize("statement", ALL.values(), ids=ALL)


@each
def test_a_statement_reads_back_equal_and_writes_the_same_bytes(
    statement: Statement, tmp_path: Path
) -> None:
    first = to_bytes(statement)
    path = tmp_path / "statement.json"
    path.write_bytes(first)
    again = read(path)
    assert to_bytes(again) == first
    assert to_html(again) == to_html(statement)
    assert to_markdown(again) == to_markdown(statement)
    if statement is not ALL["hostile"]:  # which holds a lone surrogate, that no file can
        assert again == statement


@each
def test_the_bytes_are_canonical(statement: Statement) -> None:
    text = to_bytes(statement).decode()
    assert text.endswith("}\n")
    assert not text.endswith("\n\n")
    data = json.loads(text, parse_constant=pytest.fail)
    assert list(data) == sorted(data)
    unsafe = "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
    assert re.search(unsafe, text) is None


@each
def test_the_schema_describes_what_is_written(statement: Statement) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(to_bytes(statement)))


def test_the_schema_names_itself_and_refuses_what_is_not_a_statement() -> None:
    schema = json_schema()
    assert schema["$id"] == "urn:ullage:schema:statement:1.0"
    assert schema["version"] == "1.0"
    data = json.loads(to_bytes(ALL["kept"]))
    for wrong in ({"exit_code": "0"}, {"surplus": 1}, {"schema_version": "2.0"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data | wrong, schema)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-jcs.LARGEST, jcs.LARGEST))
def test_numbers_survive_unchanged(number: float, whole: int) -> None:
    statement = ALL["kept"].model_copy(update={"distillation": {"f": number, "i": whole}})
    data = json.loads(to_bytes(statement))["distillation"]
    assert repr(data["f"]) == repr(number)
    assert data["i"] == whole


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2**53, -(2**70)])
def test_a_number_that_is_none_is_refused_with_its_place(value: float) -> None:
    statement = ALL["kept"].model_copy(update={"distillation": {"losses": [{"kl": value}]}})
    with pytest.raises(ValueError, match=r"^distillation\.losses\[0\]\.kl is"):
        to_bytes(statement)


def change(place: str, value: Any) -> bytes:
    """A good statement's JSON with one value changed, or dropped where it is `...`."""
    data = json.loads(to_bytes(ALL["every"]))
    *steps, last = (int(step) if step.isdigit() else step for step in place.split("."))
    inner = data
    for step in steps:
        inner = inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(data).encode()


GOOD = to_bytes(ALL["kept"])
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b" \n", "is empty"),
    "not UTF-8": (GOOD.replace(b"smollm2", b"\xff\xfe"), "is not UTF-8"),
    "not JSON": (b'{"kind": \n oops}', "line 2, column 2: is not JSON"),
    "cut off": (GOOD[: len(GOOD) // 2], "is not JSON"),
    "another document": (b'{"kind": "recipe"}', "is not a Distillation Loss Statement"),
    "a list": (b"[]", "is not a Distillation Loss Statement"),
    "a later version": (change("schema_version", "2.0"), 'schema_version is "2.0", this Ullage'),
    "no version": (change("schema_version", ...), "schema_version is null"),
    "NaN": (GOOD.replace(b'"seed": 7', b'"seed": NaN'), "number NaN"),
    "too large a number": (GOOD.replace(b'"seed": 7', b'"seed": 1e999'), "1e999"),
    "a huge integer": (GOOD.replace(b'"seed": 7', b'"seed": 1' + b"0" * 5_000), "statement.json:"),
    "a large integer": (change("findings.0.values.student.items", 2**53), "beyond 2**53"),
    "a finding twice": (
        change("findings", [json.loads(GOOD)["findings"][0]] * 2),
        "findings has agreement.agreement twice",
    ),
    "a key twice": (GOOD.replace(b'"seed": 7', b'"seed": 7, "seed": 8'), '"seed" is there twice'),
    "too deep": (b'{"kind":' * 100 + b"1" + b"}" * 100, "nested more than 64 deep"),
    "far too deep": (b"[" * 200_000 + b"]" * 200_000, "nested more than 64 deep"),
    "text for a number": (change("findings.4.loss.low", "low"), "findings[4].loss.low: "),
    "a number for text": (change("name", 3), "name: "),
    "a missing field": (change("findings.0.why", ...), "findings[0].why is missing"),
    "an unknown field": (change("findings.0.whyy", "x"), "findings[0].whyy is not known"),
    "an unknown verdict": (change("findings.0.verdict", "fine"), "findings[0].verdict: "),
    "a target twice": (change("scenario.targets.1", json.loads(GOOD)["scenario"]["targets"][0]),
                       "is there twice"),
    "a hostile value": (change("seed", "\x1b[2J\u202e\n<script>"), "\\u202e"),
}  # fmt: skip


@pytest.mark.parametrize("content, told", BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_in_one_line(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "statement.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert told in message
    assert message.isprintable()
    assert len(message) < len(str(path)) + 300


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read(tmp_path / "none.json")
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


def test_too_large_a_file_is_refused_without_being_parsed(tmp_path: Path) -> None:
    path = tmp_path / "statement.json"
    with path.open("wb") as file:
        file.truncate(257 * 2**20)  # sparse: takes no room
    with pytest.raises(InputError, match="is larger than 256 MiB"):
        read(path)


def test_too_many_values_are_refused_without_being_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes of JSON can be sixty of memory."""
    path = tmp_path / "statement.json"
    path.write_bytes(b'{"distillation": {"x": [' + b"[]," * 4_000_000 + b"[]]}}")
    monkeypatch.setattr(store, "_parse", pytest.fail)
    with pytest.raises(InputError, match="holds over 4,000,000 values"):
        read(path)


def test_all_views_are_written_and_nothing_else(tmp_path: Path) -> None:
    paths = write_all(ALL["every"], tmp_path)
    assert sorted(old_files(tmp_path)) == sorted(NAMES)
    assert paths["statement.json"].read_bytes() == to_bytes(ALL["every"])
    assert paths["statement.html"].read_text("utf-8") == to_html(ALL["every"])
    assert paths["statement.md"].read_text("utf-8") == to_markdown(ALL["every"])
    again = [write_all(ALL["every"], tmp_path)[name].read_bytes() for name in NAMES]
    assert again == [paths[name].read_bytes() for name in NAMES]


def old_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def put_old_files(folder: Path) -> dict[str, str]:
    for name in NAMES:
        (folder / name).write_text("old")
    return old_files(folder)


def test_a_full_disk_leaves_the_old_statement_whole(tmp_path: Path) -> None:
    before = put_old_files(tmp_path)
    # A limit on the size of files is a disk that is full for this process only.
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tests.support import statements\n"
        "from ullage.errors import InputError\n"
        "from ullage.statement.store import write_all\n"
        "made = statements.every_verdict()\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "try: write_all(made, Path(sys.argv[1]))\n"
        "except InputError as error: sys.exit(f'refused: {error}')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.stderr.startswith(f"refused: {tmp_path}/statement.")
    assert "the disk is full" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert old_files(tmp_path) == before


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder the present user may not write in, even where tests run as root."""
    folder = Path(tempfile.mkdtemp())
    put_old_files(folder)
    # Its templates are read the first time; that user may not see where we lie.
    to_html(ALL["kept"])
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_read_only_folder_is_refused_in_one_line(read_only_folder: Path) -> None:
    before = old_files(read_only_folder)
    with pytest.raises(InputError, match="cannot be written"):
        write_all(ALL["kept"], read_only_folder)
    assert old_files(read_only_folder) == before


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        write_all(ALL["kept"], tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is not a folder"):
        write_all(ALL["kept"], tmp_path / "file")


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "statement.json" / "in-the-way").mkdir(parents=True)
    with pytest.raises(InputError, match="a folder stands where"):
        write_all(ALL["kept"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["statement.json"]


def test_a_statement_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    broken = ALL["kept"].model_copy(update={"distillation": {"kl": float("nan")}})
    with pytest.raises(ValueError, match="kl"):
        write_all(broken, tmp_path)
    assert not list(tmp_path.iterdir())
