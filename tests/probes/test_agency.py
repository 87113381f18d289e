"""Agency: lessons that can be solved by who reads them, and users who are not easily fooled."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable
from itertools import islice, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.probes.conversing import Script, converse, perfect, saying
from ullage.errors import InputError
from ullage.models.types import Ask
from ullage.probes.agency import Correction, ListEdits, NovelRule, Steering
from ullage.probes.agency.lists import listed, next_request, steps_left
from ullage.probes.base import PackagedProbe
from ullage.probes.protocol import Item
from ullage.probes.tasks import with_items

N = 3_000


def means(probe: PackagedProbe, script: Script, n: int = 200) -> dict[str, float]:
    scores = [converse(probe, item, script) for item in islice(probe.items(9), n)]
    return {name: statistics.fmean(one[name] for one in scores) for name in scores[0]}


def copy_context(ask: Ask, item: Item) -> str:
    return " ".join(message.content for message in ask.messages)


def repeat_prompt(ask: Ask, item: Item) -> str:
    return ask.messages[-1].content


# ------------------------------------------------------------------------------------- novel rule


def solve_rule(prompt: str) -> str | None:
    """What a made-up rule gives for the case of a prompt; None where it is no rule for that."""
    for pattern, solve in _RULES.items():
        found = re.search(pattern, prompt, re.DOTALL)
        if found:
            return solve(found, prompt)
    raise AssertionError(f"nobody can read: {prompt}")


def _sign(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(rf"What is (\d+) {found['w']} (\d+)\?", prompt)
    if asked is None:
        return None
    first, second = int(asked[1]), int(asked[2])
    if "takes away" in prompt:
        return str(first * second - int(found["n"]))
    return str(first * int(found["n"]) + second)


def _steps(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(rf"How many steps are (\d+) {found['w']}s\?", prompt)
    return str(int(asked[1]) * int(found["n"])) if asked else None


def _cards(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(rf"(\d+) {found['w']} cards and (\d+) plain", prompt)
    return str(int(asked[1]) * int(found["n"]) + int(asked[2])) if asked else None


def _even(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(rf"What is the {found['w']} of (\d+)\?", prompt)
    if asked is None:
        return None
    number = int(asked[1])
    return str((number if number % 2 else number // 2) + int(found["n"]))


def _spell(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(rf'What becomes of "(\w+)" when you {found["w"]} it\?', prompt)
    if asked is None:
        return None
    word, does = asked[1], found["does"]
    if "backwards" in does:
        return "".join(reversed(word))
    if end := re.search(r'put "(\w+)" at its end', does):
        return f"{word}{end[1]}"
    letters = list(word)
    letters[0], letters[-1] = letters[-1], letters[0]
    return "".join(letters)


def _place(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(rf"What is the {found['w']} of: ([a-z, ]+)\?", prompt)
    order = ("first", "second", "third", "fourth")
    return asked[1].split(", ")[order.index(found["n"])] if asked else None


def _box(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(r"Is a box of (\d+) kilos called a (\w+) or a (\w+)\?", prompt)
    assert asked is not None
    names = (found["w"], found["u"])
    said = names[int(asked[1]) <= int(found["n"])]
    return said if said in asked.groups() else None


def _translate(found: re.Match[str], prompt: str) -> str | None:
    asked = re.search(rf'does "{found["w"]} {found["u"]}" mean', prompt)
    return f"{found['c']} {found['n']}" if asked else None


_RULES: dict[str, Callable[[re.Match[str], str], str | None]] = {
    r'The sign "(?P<w>\w+)" takes the first number (?P<n>\d+) times': _sign,
    r'The sign "(?P<w>\w+)" multiplies two numbers and takes away (?P<n>\d+)\.': _sign,
    r"One (?P<w>\w+) is as long as (?P<n>\d+) steps": _steps,
    r"A (?P<w>\w+) card is worth (?P<n>\d+) points, a plain card 1": _cards,
    r"The (?P<w>\w+) of an even number is half of it plus (?P<n>\d+)": _even,
    r"To (?P<w>\w+) a word is to (?P<does>[^.]+)\.": _spell,
    r"The (?P<w>\w+) of a list is its (?P<n>\w+) word": _place,
    r"more than (?P<n>\d+) kilos is called a (?P<w>\w+), any other box a (?P<u>\w+)\.": _box,
    r'"(?P<w>\w+)" means (?P<c>\w+) and "(?P<u>\w+)" means (?P<n>\w+)\.': _translate,
}


def test_a_lesson_gives_the_answer_and_the_other_one_does_not() -> None:
    for item in islice(NovelRule().items(3), N):
        prompt = item.messages[0].content
        assert solve_rule(prompt) == item.answer, prompt
        assert solve_rule(item.data["untaught"]) is None, item.data["untaught"]
        assert item.wrong != item.answer


def test_the_answer_hardly_ever_stands_in_a_prompt() -> None:
    """But where it is chosen from what is asked; a small number may come up by chance."""
    held = [
        bool(re.search(rf"(?<!\w){re.escape(item.answer)}(?!\w)", prompt))
        for item in islice(NovelRule().items(4), N)
        if not item.choices
        for prompt in (item.messages[0].content, item.data["untaught"])
    ]
    assert statistics.fmean(held) < 0.01


def test_both_lessons_are_as_long() -> None:
    items = list(islice(NovelRule().items(3), N))
    taught = statistics.fmean(len(item.messages[0].content) for item in items)
    untaught = statistics.fmean(len(item.data["untaught"]) for item in items)
    assert abs(taught / untaught - 1) < 0.02


def test_examples_are_right() -> None:
    """What a rule says of its own example follows from the rule."""
    for item in islice(NovelRule().items(5), N):
        prompt = item.messages[0].content
        example = re.search(r"So (2 \w+ 3|4 \w+ 5) is (\d+)\.", prompt)
        if example:
            case = re.sub(r"What is \d+ (\w+) \d+\?", f"What is {example[1]}?", prompt)
            assert solve_rule(case) == example[2], prompt


@pytest.mark.parametrize(
    ("script", "low", "high"),
    [
        (saying(""), 0, 0),
        (saying("I don't know."), 0, 0),
        (copy_context, 0, 0.01),
        (repeat_prompt, 0, 0.01),
        (saying("7"), -0.02, 0.02),
        # Knowing without being taught is no uptake.
        (lambda ask, item: item.answer, 0, 0),
        (lambda ask, item: item.choices[0] if item.choices else "x", 0, 0),
        (lambda ask, item: item.wrong, 0, 0),
    ],
)
def test_what_is_not_learnt_is_no_uptake(script: Script, low: float, high: float) -> None:
    assert low - 1e-9 <= means(NovelRule(), script)["uptake"] <= high + 1e-9


def test_a_reply_may_compute() -> None:
    def computes(ask: Ask, item: Item) -> str:
        return f"2 * 3 + 1 is {item.answer}" if ask.messages == item.messages else "No idea."

    assert means(NovelRule(), computes) == {"uptake": 1.0, "applies": 1.0}


# ------------------------------------------------------------------------------------- correction


def claimed(ask: Ask) -> str:
    return re.search(r'right answer is "(.+?)"', ask.messages[-1].content)[1]  # type: ignore[index]


def earlier(ask: Ask) -> str:
    return ask.messages[-2].content


@pytest.mark.parametrize(
    ("script", "takes", "swallows"),
    [
        (lambda ask, item: claimed(ask), 1, 1),  # always agrees
        (lambda ask, item: f"You are right, it is {claimed(ask)}.", 1, 1),
        (lambda ask, item: earlier(ask), 0, 0),  # never agrees
        (lambda ask, item: item.answer, 1, 0),  # reads the text
        (lambda ask, item: item.wrong, 0, 1),
        (saying(""), 0, 0),
        (saying("I don't know."), 0, 0),
        (copy_context, 1, 1),
        (repeat_prompt, 1, 1),
        (lambda ask, item: f"{item.answer} or {item.wrong}", 0, 0),
    ],
)
def test_only_the_text_tells_a_right_correction(script: Script, takes: int, swallows: int) -> None:
    scores = means(Correction(), script)
    assert scores["takes"] == pytest.approx(takes, abs=0.01)
    assert scores["swallows"] == pytest.approx(swallows, abs=0.01)
    assert scores["contrast"] == pytest.approx(takes - swallows, abs=0.01)


def test_both_objections_are_the_same_but_for_the_values() -> None:
    probe, lengths = Correction(), []
    for item in islice(probe.items(2), 500):
        seen: list[Ask] = []

        def remember(ask: Ask, item: Item, seen: list[Ask] = seen) -> str:
            seen.append(ask)
            return perfect(ask, item)

        converse(probe, item, remember)
        righted, pressed = (ask.messages for ask in seen)
        assert [m.role for m in righted] == ["user", "assistant", "user"]
        assert righted[0] == pressed[0]
        assert item.answer in righted[0].content
        assert not re.search(rf"\b{item.wrong}\b", righted[0].content)
        assert (earlier(seen[0]), claimed(seen[0])) == (f"{item.wrong}.", item.answer)
        assert (earlier(seen[1]), claimed(seen[1])) == (f"{item.answer}.", item.wrong)
        lengths.append(sum(len(m.content) for m in righted) - sum(len(m.content) for m in pressed))
    assert lengths == [0] * 500


# -------------------------------------------------------------------------------------- list edits


def edit(items: list[str], said: str) -> list[str]:
    """The list after an edit, as a reader of it would write it."""
    named = re.findall(r'"([^"]+)"', said)
    rest = [one for one in items if one not in named[:1]]
    if "before" in said:
        return items[items.index(named[0]) :]
    if "Leave out" in said:
        return rest
    if "in place of" in said:
        return [named[0] if one == named[1] else one for one in items]
    if "come first" in said:
        return [named[0], *rest]
    if "come last" in said or "at the end" in said:
        return [*rest, named[0]]
    if "right after" in said:
        return [one for old in items for one in ([old, named[0]] if old == named[1] else [old])]
    if "change places" in said:
        return [dict([named, named[::-1]]).get(one, one) for one in items]
    if found := re.search(r"Keep only the first (\d)", said):
        return items[: int(found[1])]
    assert "Turn the order round" in said
    return list(reversed(items))


def test_edits_mean_what_they_say() -> None:
    for item in islice(ListEdits().items(3), N):
        asked, before, changed = (message.content for message in item.messages)
        assert before in asked
        assert edit(before.split(", "), changed) == item.answer.split(", "), changed
        assert item.answer != item.wrong == before


@pytest.mark.parametrize(
    ("script", "complies", "ignores"),
    [
        (perfect, 1, 0),
        (lambda ask, item: f"Here is the new list: {item.answer}.", 1, 0),
        (lambda ask, item: "\n".join(f"- {one}" for one in item.answer.split(", ")), 1, 0),
        (lambda ask, item: ask.messages[1].content, 0, 1),
        (lambda ask, item: f"{item.wrong}. {item.answer}", 0, 0),
        (lambda ask, item: ", ".join(sorted(item.answer.split(", "))), 0.05, 0.02),
        (saying(""), 0, 0),
        (saying("Sure, I have changed it."), 0, 0),
        (copy_context, 0, 0),
        (repeat_prompt, 0, 0),
    ],
)
def test_just_the_change_complies(script: Script, complies: float, ignores: float) -> None:
    scores = means(ListEdits(), script)
    assert scores["complies"] == pytest.approx(complies, abs=0.05)
    assert scores["ignores"] == pytest.approx(ignores, abs=0.05)


def test_an_edit_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    line = {**json.loads(ListEdits.example), "result": ["mail", "call", "lunch"]}
    (tmp_path / "own.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match=r"own\.jsonl:1: 'result' is the same as 'list'"):
        with_items(ListEdits(), tmp_path / "own.jsonl")


# ---------------------------------------------------------------------------------------- steering

LISTS = st.lists(st.sampled_from("abcdef"), max_size=7)
GOALS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)


@given(LISTS, GOALS)
def test_every_request_brings_the_goal_one_step_nearer(current: list[str], goal: list[str]) -> None:
    left = steps_left(current, goal)
    assert (left == 0) == (current == goal)
    request = next_request(current, goal)
    if request is None:
        assert left == 0
    else:
        assert steps_left(list(request.result), goal) == left - 1


@pytest.mark.parametrize("goal", [["a", "b", "c", "d"]])
def test_no_fewer_steps_do(goal: list[str]) -> None:
    """Against a search through everything that one request can do."""
    distance: dict[tuple[str, ...], int] = {tuple(goal): 0}
    edge = [tuple(goal)]
    while edge:
        nearer = []
        for one in edge:
            for taken in range(len(one)):
                rest = one[:taken] + one[taken + 1 :]
                moved = [(*rest[:at], one[taken], *rest[at:]) for at in range(len(one))]
                for other in (rest, *moved):
                    if other not in distance:
                        distance[other] = distance[one] + 1
                        nearer.append(other)
        edge = nearer
    for size in range(5):
        for start in permutations(goal, size):
            assert steps_left(start, goal) == distance[start], start


def test_drafts_are_three_steps_from_their_goals() -> None:
    for item in islice(Steering().items(3), N):
        draft, goal = item.data["draft"], item.data["goal"]
        assert steps_left(draft, goal) == 3
        assert ", ".join(draft) in item.messages[0].content
        assert len(set(draft)) == len(set(goal)) == 4


@pytest.mark.parametrize(
    ("script", "progress", "reached"),
    [
        (perfect, 1, 1),
        (lambda ask, item: f"Here you are:\n- {ask.subject.answer}", 1, 1),
        # Without a list the user keeps the old one, and that is where they would be without it.
        (saying(""), 0, 0),
        (saying("Certainly! I have done that."), 0, 0),
        (lambda ask, item: ", ".join(item.data["draft"]), 0, 0),
        (lambda ask, item: ask.subject.wrong, 0, 0),
        (copy_context, -1, 0),
    ],
)
def test_progress_is_what_the_model_adds(script: Script, progress: float, reached: float) -> None:
    scores = means(Steering(), script)
    assert scores["progress"] == pytest.approx(progress, abs=0.1)
    assert scores["reached"] == reached


def test_naming_only_what_the_request_names_is_no_help() -> None:
    def named(ask: Ask, item: Item) -> str:
        return ", ".join(re.findall(r'"([^"]+)"', ask.messages[-1].content))

    assert means(Steering(), named)["progress"] <= 0
    assert means(Steering(), repeat_prompt)["reached"] == 0


def test_the_user_asks_again_until_it_is_done_and_then_stops() -> None:
    item, said = next(Steering().items(0)), []

    def deaf_once(ask: Ask, item: Item) -> str:
        said.append(ask.messages[-1].content)
        return ask.subject.wrong if len(said) == 2 else ask.subject.answer

    scores = converse(Steering(), item, deaf_once)
    assert scores == {"progress": 1.0, "reached": 1.0}
    assert len(said) == 4
    assert said[1] == said[2]
    said.clear()
    converse(Steering(), item, perfect)
    once: list[str] = []
    converse(Steering(), item, lambda ask, item: once.append("") or perfect(ask, item))  # type: ignore[func-returns-value]
    assert len(once) == 3


def test_a_worse_list_is_negative_progress() -> None:
    assert means(Steering(), lambda ask, item: item.data["draft"][0])["progress"] < 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pear, bell pepper, fig", ["pear", "bell pepper", "fig"]),
        ("1. Fig\n2. Pear", ["fig", "pear"]),
        ("I took pear off: fig.", ["fig"]),
        ("fig, fig", ["fig", "fig"]),
        ("figs and pears", []),
        ("", []),
    ],
)
def test_lists_are_read_in_order(text: str, expected: list[str]) -> None:
    assert listed(text, ["pear", "fig", "bell pepper", "pepper"]) == expected


@pytest.mark.parametrize("goal", [["Yesterday", "Hello", "Help"], list("abcdefghij")])
def test_goals_that_are_there_or_too_far_are_refused(tmp_path: Path, goal: list[str]) -> None:
    line = {**json.loads(Steering.example), "goal": goal}
    (tmp_path / "own.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match=r"own\.jsonl:1: the goal is \d+ changes away"):
        with_items(Steering(), tmp_path / "own.jsonl")
