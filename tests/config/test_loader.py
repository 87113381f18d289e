"""What loads, what is refused, and that every refusal is one line a person can act on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ullage.config import Loaded, load
from ullage.errors import InputError

BASE = """\
name: mine
scenario: support-assistant
arms:
  teacher:
    model: hf:models/teacher
  student:
    model: openai:small
    openai:
      base_url: http://127.0.0.1:8000/v1
      api_key_env: SMALL_KEY
"""
TARGET = "{probe: formats, metric: spread, margin: 0.2, reason: our forms are all alike}"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "ullage.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def load_text(folder: Path, text: str | bytes, *overrides: str) -> Loaded:
    return load(write(folder, text), overrides)


def refusal(folder: Path, text: str | bytes, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_text(folder, text, *overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message.replace(f"{folder}{os.sep}", "")


def test_a_file_loads(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, BASE)
    assert loaded.config.arms.student.openai.api_key_env == "SMALL_KEY"
    assert loaded.root == tmp_path
    assert loaded.scenario.name == "support-assistant"
    assert loaded.resolve("models/teacher") == tmp_path / "models/teacher"


def test_scalars_follow_yaml_1_2(tmp_path: Path) -> None:
    body = "a: no, b: on, c: 010, d: 1e3, e: 12:30:00, f: 2026-01-01, g: ~, h: 0x10, i: 'true'"
    text = BASE + "      extra_body: {" + body + "}\n"
    extra = load_text(tmp_path, text).config.arms.student.openai.extra_body
    assert extra == {
        "a": "no",
        "b": "on",
        "c": 10,
        "d": 1000.0,
        "e": "12:30:00",
        "f": "2026-01-01",
        "g": None,
        "h": "0x10",
        "i": "true",
    }


def test_aliases_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    text = "arms: {teacher: &t {model: 'hf:a'}, student: {model: 'hf:b'}, base: *t}"
    loaded = load_text(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert loaded.config.arms.base == loaded.config.arms.teacher


def test_targets_replace_in_place_or_are_added(tmp_path: Path) -> None:
    added = "{probe: mine, metric: accuracy, margin: 0.1, reason: what we sell on}"
    text = BASE + f"targets: [{TARGET}, {added}]\n"
    plain, merged = load_text(tmp_path, BASE).scenario, load_text(tmp_path, text).scenario
    assert [t.id for t in merged.targets] == [*(t.id for t in plain.targets), "mine.accuracy"]
    assert next(t for t in merged.targets if t.id == "formats.spread").margin == 0.2
    assert next(t for t in plain.targets if t.id == "formats.spread").margin != 0.2


def test_an_own_scenario_is_read_relative_to_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "own.yaml").write_text(f"name: own\ntitle: Own\nuse: ours\ntargets: [{TARGET}]\n")
    text = BASE.replace("support-assistant", "scenarios/own.yaml")
    assert load_text(tmp_path, text).scenario.name == "own"


def test_an_error_in_an_own_scenario_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: own\ntitle: Own\nuse: ours\ntargets: []\n")
    message = refusal(tmp_path, BASE.replace("support-assistant", "own.yaml"))
    assert message == "own.yaml:4: targets: expected at least 1 entry, found a list"


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("arms.student.model=openai:other", "arms.student.model", "openai:other"),
        ("seed=7", "seed", 7),
        ("planning.power=9e-1", "planning.power", 0.9),
        ("arms.student.openai.timeout_s=5", "arms.student.openai.timeout_s", 5.0),
        ("arms.base.model=hf:b", "arms.base.model", "hf:b"),
        ("arms.student={model: 'hf:z'}", "arms.student.model", "hf:z"),
        ("targets.0.margin=0.3", "targets.0.margin", 0.3),
        ("targets[0].margin=0.3", "targets.0.margin", 0.3),
        ("name=a=b", None, "name: expected lower-case"),
        ("arms.student.modle=hf:x", None, "-o arms.student.modle: unknown key; did you"),
        ("arm.student.model=hf:x", None, "-o arm: unknown key; did you mean 'arms'?"),
        ("seed", None, "-o seed: expected key=value"),
        ("=3", None, "expected key=value"),
        ("a..b=3", None, "-o a..b: expected key=value"),
        ("targets.7.margin=1", None, "-o targets.7.margin: no entry '7' in targets, which has 1"),
        ("tasks.0.file=x", None, "-o tasks.0.file: no entry '0' in tasks, which has 0 in the file"),
        ("name.x=1", None, "-o name.x: name holds no keys"),
        ("seed=[", None, "-o seed: not valid YAML"),
        ("seed=.inf", None, "-o seed: '.inf' is not a number"),
        ("planning.power=2", None, "-o planning.power: should be less than 1, found 2"),
        ("distill.epochs=2", None, "-o distill.corpus: missing; it is required"),
    ],
)  # fmt: skip
def test_overrides(tmp_path: Path, override: str, path: str | None, expected: object) -> None:
    text = BASE + f"targets: [{TARGET}]\n"
    if path is None:
        assert str(expected) in refusal(tmp_path, text, override)
        return
    value: object = load_text(tmp_path, text, override).config.model_dump()
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, tuple) else value[part]  # type: ignore[index]
    assert value == expected


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert load_text(tmp_path, BASE, "seed=1", "seed=2").config.seed == 2


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "ullage.yaml: is empty; `ullage init`"),
    "only comments": ("# hello\n", "ullage.yaml: holds only comments"),
    "latin-1": ("name: caf\xe9\n".encode("latin-1"), "ullage.yaml:1: byte 0xe9 is not UTF-8"),
    "utf-16": ("name: x\n".encode("utf-16"), "ullage.yaml: is UTF-16; save it as UTF-8"),
    "too large": (b"#" * (1 << 21), "ullage.yaml: larger than 1 MiB"),
    "tab": ("arms:\n\tteacher: x\n", "ullage.yaml:2: a tab; YAML is indented with spaces"),
    "no YAML": ("a: [1\n", "ullage.yaml:2: not valid YAML"),
    "two documents": (BASE + "---\na: 1\n", "ullage.yaml:11: a second document"),
    "a list": ("- a\n", "ullage.yaml:1: a list at the top"),
    "a word": ("hello\n", "ullage.yaml:1: 'hello' at the top"),
    "duplicate key": (BASE + "name: two\n", "ullage.yaml:11: key 'name' is here and on line 1"),
    "duplicate nested key": (
        BASE + "      timeout_s: 1\n      timeout_s: 2\n",
        "ullage.yaml:12: arms.student.openai: key 'timeout_s' is here and on line 11; keep one",
    ),
    "python tag": ("a: !!python/object/apply:os.system [x]\n", "is not read; write a plain value"),
    "binary tag": ("a: !!binary aGk=\n", "is not read; write a plain value"),
    "wrong tag": ("a: !!int x\n", "is not read; write a plain value"),
    "endless alias": ("a: &a [*a]\n", "an alias that contains itself"),
    "alias bomb": (
        "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
        "more than 20000 values",
    ),
    "unknown alias": ("a: *b\n", "ullage.yaml:1: not valid YAML (found undefined alias"),
    "too deep": ("[" * 50_000, "nested too deeply"),
    "merge key": ("a: &a {b: 1}\nc: {<<: *a}\n", "ullage.yaml:2: c: merge keys (<<) are not read"),
    "list as a key": ("? [a]\n: b\n", "ullage.yaml:1: a key that is not plain text"),
    "raw control character": ("a: \x1b\n", "ullage.yaml:1: a control character"),
    "escaped control character": ('a: "\\e[31m"\n', "ullage.yaml:1: a: control character U+001B"),
    "lone surrogate": ('a: "\\ud800"\n', "ullage.yaml:1: a: control character U+D800"),
    "NUL in a path": ('runs: "a\\0b"\n', "ullage.yaml:1: runs: control character U+0000"),
    "unknown key": (BASE + "sede: 1\n", "ullage.yaml:11: sede: unknown key; did you mean 'seed'?"),
    "unknown nested key": (
        BASE.replace("model: openai", "modle: openai"),
        "ullage.yaml:7: arms.student.modle: unknown key; did you mean 'model'?",
    ),
    "nothing close": (BASE + "budget: {xyzzy: 1}\n", "unknown key; known: requests, tokens,"),
    "no arms": ("name: x\n", "ullage.yaml:1: arms: missing; it is required"),
    "no student": (
        "arms:\n  teacher: {model: 'hf:x'}\n",
        "ullage.yaml:1: arms.student: missing; it is required",
    ),
    "number for text": (BASE.replace("mine", "5"), "yaml:1: name: expected text; quote it"),
    "text for a number": (BASE + "seed: seven\n", "seed: expected a whole number, found 'seven'"),
    "quoted number": (BASE + "seed: '7'\n", "seed: expected a whole number, found '7'"),
    "boolean for a number": (BASE + "seed: true\n", "seed: expected a whole number, found true"),
    "fraction": (BASE + "seed: 1.5\n", "seed: expected a whole number, found 1.5"),
    "negative seed": (BASE + "seed: -1\n", "seed: should be greater than or equal to 0, found -1"),
    "huge number": (BASE + f"seed: {'9' * 5000}\n", "is not a number that can be used here"),
    "list for a mapping": (BASE + "budget: [1]\n", "budget: expected a mapping, found a list"),
    "mapping for a list": (BASE + "tasks: {a: b}\n", "tasks: expected a list, found a mapping"),
    "nothing for a mapping": (BASE + "planning:\n", "planning: expected a mapping, found nothing"),
    "no such model scheme": (
        BASE.replace("openai:small", "gpt-4"),
        "ullage.yaml:7: arms.student.model: expected hf:PATH-OR-ID, openai:NAME, recorded:FILE or "
        "simulated:NAME, found 'gpt-4'",
    ),
    "options of another scheme": (
        BASE.replace("openai:small", "hf:small"),
        "ullage.yaml:6: arms.student: has options under 'openai' but the model is 'hf:small'",
    ),
    "negative margin": (
        BASE + "targets:\n  - " + TARGET.replace("0.2", "-0.2") + "\n",
        "ullage.yaml:12: targets.0.margin: should be greater than 0, found -0.2",
    ),
    "zero margin": (BASE + f"targets: [{TARGET.replace('0.2', '0')}]", "should be greater than 0"),
    "NaN margin": (BASE + f"targets: [{TARGET.replace('0.2', '.nan')}]", "'.nan' is not a number"),
    "infinite margin": (BASE + f"targets: [{TARGET.replace('0.2', '.inf')}]", "'.inf' is not"),
    "overflowing margin": (BASE + f"targets: [{TARGET.replace('0.2', '1e999')}]", "'1e999' is not"),
    "no reason": (
        BASE + "targets: [{probe: a, metric: b, margin: 0.1}]\n",
        "ullage.yaml:11: targets.0.reason: missing; it is required",
    ),
    "short reason": (
        BASE + "targets: [{probe: a, metric: b, margin: 0.1, reason: because}]\n",
        "targets.0.reason: expected at least 10 characters, found 'because'",
    ),
    "unknown severity": (
        BASE + f"targets: [{TARGET[:-1]}, severity: shuold}}]\n",
        "targets.0.severity: expected 'must', 'should' or 'may_lose', found 'shuold'",
    ),
    "target twice": (BASE + f"targets: [{TARGET}, {TARGET}]\n", "formats.spread is there twice"),
    "task twice": (
        BASE + "tasks: [{name: a, file: b}, {name: a, file: c}]\n",
        "task a is there twice; keep one",
    ),
    "unknown dimension": (
        BASE + "tasks: [{name: a, file: b, dimension: fidelty}]\n",
        "tasks.0.dimension: 'fidelty' is not a dimension; known: fidelity,",
    ),
    "regex without pattern": (
        BASE + "tasks: [{name: a, file: b, rule: {kind: regex}}]\n",
        "tasks.0.rule: kind 'regex' needs a pattern",
    ),
    "broken regex": (
        BASE + "tasks: [{name: a, file: b, rule: {kind: regex, pattern: '('}}]\n",
        "tasks.0.rule: pattern is no regular expression",
    ),
    "bounds swapped": (BASE + "planning: {max_items: 10}\n", "min_items 40 is more than max_items"),
    "power of one": (BASE + "planning: {power: 1}\n", "planning.power: should be less than 1"),
    "wrong layer": (
        BASE + "distill: {corpus: a, output: b, layers: [0, x]}\n",
        "distill.layers.1: expected a whole number, found 'x'",
    ),
    "no layers": (
        BASE + "distill: {corpus: a, output: b, layers: many}\n",
        "distill.layers: expected a list or expected a whole number, found 'many'",
    ),
    "no such scenario": (
        BASE.replace("support-assistant", "suport-assistent"),
        "yaml:2: scenario: no scenario 'suport-assistent'; did you mean 'support-assistant'?",
    ),
    "no such scenario file": (
        BASE.replace("support-assistant", "./own.yaml"),
        "own.yaml: no such file; name a packaged scenario",
    ),
    "no address": (BASE.replace("http://127.0.0.1:8000/v1", "localhost"), "expected an http:// or"),
    "several": (BASE + "seed: x\nname2: y\nruns: 5\n", "found 'x' (and 2 more problems)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line(tmp_path: Path, case: str) -> None:
    text, expected = BAD[case]
    assert expected in refusal(tmp_path, text)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nope\.yaml: no such file; `ullage init` writes one"):
        load(tmp_path / "nope.yaml")
    with pytest.raises(InputError, match="is a folder; name the YAML file in it"):
        load(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load(write(tmp_path, BASE) / "deeper.yaml")


SECRET = "sk-live-0123456789"


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        (BASE.replace("SMALL_KEY", SECRET), ()),
        (BASE.replace("127.0.0.1", f"me:{SECRET}@127.0.0.1"), ()),
        (BASE.replace("/v1", f"/v1?key={SECRET}"), ()),
        (BASE + f"      extra_body: {{api-key: {SECRET}}}\n", ()),
        (BASE + f"      extra_body: {{headers: {{Authorization: {SECRET}}}}}\n", ()),
        (BASE + f"      api_key: {SECRET}\n", ()),
        (BASE, (f"arms.student.openai.api_key={SECRET}",)),
        (BASE, (f"arms.student.openai.api_key_env={SECRET}",)),
        (BASE, (f"arms.student.openai.extra_body={SECRET}",)),
    ],
)
def test_a_pasted_secret_is_refused_and_not_repeated(
    tmp_path: Path, text: str, overrides: tuple[str, ...]
) -> None:
    assert SECRET not in refusal(tmp_path, text, *overrides)


def test_later_errors_can_name_the_line(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, BASE + f"targets:\n  - {TARGET}\n", "arms.base.model=hf:b")

    def where(key: str) -> str:
        return str(loaded.refuse(key, "is gone")).replace(f"{tmp_path}{os.sep}", "")

    assert where("arms.teacher.model") == "ullage.yaml:5: arms.teacher.model: is gone"
    assert where("targets.0.probe") == "ullage.yaml:12: targets.0.probe: is gone"
    assert where("arms.base.model") == "-o arms.base.model: is gone"
    assert where("arms.teacher.hf.dtype") == "ullage.yaml:4: arms.teacher.hf.dtype: is gone"
    assert where("budget") == "ullage.yaml:1: budget: is gone"
