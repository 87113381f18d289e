"""The user's own JSONL: what is read, and the one line that says what is wrong."""

from __future__ import annotations

import json
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.probes.conversing import converse, perfect
from ullage.config.models import Rule, Task
from ullage.errors import InputError
from ullage.models.types import Access
from ullage.probes.jsonl import LINE_BYTES
from ullage.probes.registry import all_probes, get_probe
from ullage.probes.tasks import TaskProbe, with_items

GOOD = {"prompt": "What is 2 + 2?", "reference": "4"}


def write(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "mine.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def task(folder: Path, *lines: dict[str, Any] | str, **rule: Any) -> TaskProbe:
    declared = Task(name="mine", file="mine.jsonl", rule=Rule(**rule))
    return TaskProbe(declared, write(folder, *lines))


@pytest.mark.parametrize(
    ("line", "question", "references"),
    [
        ({"prompt": "Q", "reference": "A"}, "Q", ["A"]),
        ({"question": "Q", "answer": "A"}, "Q", ["A"]),
        ({"prompt": "Q", "references": ["A", "B"]}, "Q", ["A", "B"]),
        ({"prompt": "Q", "reference": 4}, "Q", ["4"]),
        ({"prompt": "Q", "reference": 0}, "Q", ["0"]),
        (
            {"messages": [{"role": "user", "content": "Q"}], "reference": ["A", "B"]},
            "Q",
            ["A", "B"],
        ),
        ({"prompt": "Q", "reference": "A", "extra": {"kept": "ignored"}}, "Q", ["A"]),
        ({"prompt": "Ünïcode ☃", "reference": "A"}, "Ünïcode ☃", ["A"]),
    ],
)
def test_forms_of_a_line(
    tmp_path: Path, line: dict[str, Any], question: str, references: list[str]
) -> None:
    probe = task(tmp_path, line)
    (item,) = probe.items(0)
    assert item.messages[-1].content == question
    assert item.data["references"] == references
    assert converse(probe, item, perfect) == {"score": 1.0}
    assert converse(probe, item, lambda ask, item: "nonsense") == {"score": 0.0}


def test_conversations_ids_and_families_are_taken_over(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": ""},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "2+2?"},
    ]
    line = {"messages": turns, "reference": "4", "id": "sum-1", "family": "sums"}
    probe = task(tmp_path, line, "", GOOD)
    first, second = probe.items(5)
    assert [message.role for message in first.messages] == [turn["role"] for turn in turns]
    assert (first.id, first.family) == ("mine/sum-1", "mine:sums")
    assert second.id == "mine/3"
    assert first.family != second.family
    assert probe.size == 2
    assert probe.source.startswith("mine.jsonl sha256:")


def test_choices_are_scored_by_choice(tmp_path: Path) -> None:
    line = {"prompt": "Red, blue?", "choices": ["red", "blue"], "reference": "blue"}
    probe = task(tmp_path, line, kind="choice")
    (item,) = probe.items(0)
    assert converse(probe, item, lambda ask, item: "B") == {"score": 1.0}
    assert converse(probe, item, lambda ask, item: "red or blue") == {"score": 0.0}


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
    assert TaskProbe(Task(name="mine", file="bom.jsonl"), path).size == 1


BAD: list[tuple[list[dict[str, Any] | str], dict[str, Any], int, str]] = [
    ([GOOD, "{"], {}, 2, "not JSON"),
    ([GOOD, "[1]"], {}, 2, "a list is not an item"),
    (["3"], {}, 1, "a number is not an item"),
    (["null"], {}, 1, "null is not an item"),
    (['"text"'], {}, 1, "text is not an item"),
    (['{"prompt": "Q", "reference": NaN}'], {}, 1, "NaN"),
    (['{"prompt": "Q", "reference": -Infinity}'], {}, 1, "Infinity"),
    (["[" * 100_000], {}, 1, "not JSON"),
    ([{"reference": "4"}], {}, 1, "no question"),
    ([{"prompt": "Q"}], {}, 1, "no reference"),
    ([{"prompt": "Q", "reference": None}], {}, 1, "no reference"),
    ([{"prompt": "Q", "references": []}], {}, 1, "at least 1"),
    ([{"prompt": "Q", "reference": ""}], {}, 1, "blank"),
    ([{"prompt": "Q", "reference": {"a": 1}}], {}, 1, "an object"),
    ([{"prompt": "Q", "reference": True}], {}, 1, "true or false"),
    ([{"prompt": " ", "reference": "4"}], {}, 1, "blank"),
    ([{"prompt": ["Q"], "reference": "4"}], {}, 1, "a list"),
    ([{"messages": [], "reference": "4"}], {}, 1, "at least one"),
    ([{"messages": "Q", "reference": "4"}], {}, 1, "at least one"),
    ([{"messages": ["Q"], "reference": "4"}], {}, 1, "'role' and 'content'"),
    ([{"messages": [{"role": "user"}], "reference": "4"}], {}, 1, "'role' and 'content'"),
    ([{"messages": [{"role": "bot", "content": "Q"}], "reference": "4"}], {}, 1, "role 'bot'"),
    ([{"messages": [{"role": [], "content": "Q"}], "reference": "4"}], {}, 1, "role"),
    ([{"messages": [{"role": "user", "content": 3}], "reference": "4"}], {}, 1, "a number"),
    ([{**GOOD, "id": "x"}, {**GOOD, "id": "x"}], {}, 2, "there twice"),
    ([{**GOOD, "id": "2"}, GOOD], {}, 2, "there twice"),
    ([{**GOOD, "id": []}], {}, 1, "a list"),
    ([{**GOOD, "family": 1.5, "id": {}}], {}, 1, "an object"),
    ([GOOD], {"kind": "choice"}, 1, "needs 'choices'"),
    ([{**GOOD, "choices": ["3", "5"]}], {"kind": "choice"}, 1, "not among"),
    ([{**GOOD, "choices": "3, 4"}], {"kind": "choice"}, 1, "a list of texts"),
    ([{**GOOD, "choices": ["4", "4"]}], {"kind": "choice"}, 1, "twice"),
    ([{**GOOD, "reference": "four point"}], {"kind": "numeric"}, 0, ""),
    ([{**GOOD, "reference": "none"}], {"kind": "numeric"}, 1, "no number"),
    (['{"prompt": "' + "x" * LINE_BYTES + '"}'], {}, 1, "longer than"),
]


@pytest.mark.parametrize(("lines", "rule", "line", "said"), BAD, ids=range(len(BAD)))
def test_bad_lines_are_refused_with_file_and_line(
    tmp_path: Path,
    lines: list[dict[str, Any] | str],
    rule: dict[str, Any],
    line: int,
    said: str,
) -> None:
    if not line:
        assert task(tmp_path, *lines, **rule).size == 1
        return
    with pytest.raises(InputError) as refused:
        task(tmp_path, *lines, **rule)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'mine.jsonl'}:{line}: ")
    assert said in message
    assert "\n" not in message
    assert len(message) < 400


def test_unfit_files_are_refused(tmp_path: Path) -> None:
    declared = Task(name="mine", file="mine.jsonl")
    with pytest.raises(InputError, match="No such file"):
        TaskProbe(declared, tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="directory"):
        TaskProbe(declared, tmp_path)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n \n")
    with pytest.raises(InputError, match="holds no item"):
        TaskProbe(declared, empty)
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('{"prompt": "é", "reference": "e"}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.jsonl:1: byte 13 is not UTF-8"):
        TaskProbe(declared, latin)


def test_bad_rules_name_the_task(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="task 'mine': pattern"):
        task(tmp_path, GOOD, kind="regex", pattern="(a+)+$")


def test_a_regex_needs_no_reference(tmp_path: Path) -> None:
    probe = task(tmp_path, {"prompt": "Say yes."}, kind="regex", pattern="^yes")
    (item,) = probe.items(0)
    assert converse(probe, item, lambda ask, item: "Yes!") == {"score": 1.0}


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    with path.open("w") as stream:
        for index in range(20_000):
            stream.write(json.dumps({"prompt": f"{index} " * 60, "reference": "4"}) + "\n")
    size = path.stat().st_size
    tracemalloc.start()
    probe = TaskProbe(Task(name="mine", file="mine.jsonl"), path)
    assert sum(1 for _ in probe.items(0)) == probe.size == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2


def test_a_file_that_changes_later_is_still_read_with_care(tmp_path: Path) -> None:
    probe = task(tmp_path, GOOD)
    (tmp_path / "mine.jsonl").write_text("oops")
    with pytest.raises(InputError, match=r"mine\.jsonl:1: not JSON"):
        next(probe.items(0))


PACKAGED = [probe for probe in all_probes().values() if hasattr(probe, "example")]
NO_IDEAL = ("teacher-text", "varied-text", "many-answers", "soft-instructions")
"""Probes of which no single reply, said every time, has the best of scores."""


@pytest.mark.parametrize("probe", PACKAGED, ids=lambda probe: probe.name)
def test_every_packaged_probe_takes_own_items(tmp_path: Path, probe: Any) -> None:
    line = json.loads(probe.example)
    own = with_items(get_probe(probe.name), write(tmp_path, {**line, "family": "f"}, line))
    first, second = own.items(0)
    assert own.size == 2
    assert (own.name, own.metrics, own.access) == (probe.name, probe.metrics, probe.access)
    assert own.source.startswith("mine.jsonl sha256:")
    assert first.id != second.id
    assert first.messages == second.messages
    if Access.TEXT in probe.access and probe.name not in NO_IDEAL:
        means = [metric for metric in own.metrics if metric.functional is None]
        # What is counted from the base has no ideal that a reply shows.
        best = {metric.name: metric for metric in means if metric.against == "teacher"}
        for name, value in converse(own, first, perfect).items():
            if name in best and name not in ("weighed", "gap"):
                low, high = best[name].bounds
                ideal = high if best[name].higher_is_better else max(low, 0.0)
                assert value == pytest.approx(ideal), name


OPTIONAL = {
    "agreement": {"choices"},
    "verbal-confidence": {"choices"},
    "clarification": {"wrong"},
    "grounding-position": {"wrong"},
    "grounding-claims": {"contradicted", "invented", "answer"},
    "corpus-distance": {"family"},
}
"""Keys of the examples that `docs/items.md` says may be left out."""


@pytest.mark.parametrize("probe", PACKAGED, ids=lambda probe: probe.name)
def test_own_items_that_lack_something_are_refused(tmp_path: Path, probe: Any) -> None:
    line = json.loads(probe.example)
    for key in line.keys() - OPTIONAL.get(probe.name, set()):
        rest = {name: value for name, value in line.items() if name != key}
        with pytest.raises(InputError, match=r"mine\.jsonl:1: "):
            with_items(get_probe(probe.name), write(tmp_path, rest))


def test_probes_of_third_parties_take_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads none"):
        with_items(task(tmp_path, GOOD), tmp_path / "mine.jsonl")


def test_items_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    probe = task(tmp_path, *({"prompt": f"Q{i}", "reference": "A"} for i in range(50)))
    for seed in (0, 1):
        asked = [item.messages[0].content for item in islice(probe.items(seed), 50)]
        assert asked == [f"Q{i}" for i in range(50)]
