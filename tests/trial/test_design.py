"""Who works what with which arm: balanced, paired and not to be guessed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import InputError
from ullage.trial.design import SIDES, TrialTask, couple_of, read_tasks, sitting

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=7).filter(lambda sizes: sum(sizes) >= 2)


def tasks_of(sizes: list[int]) -> list[TrialTask]:
    return [
        TrialTask(f"{family}-{n}", f"f{family}", "Do it.")
        for family, size in enumerate(sizes)
        for n in range(size)
    ]


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 2**40), st.integers(1, 60))
def test_each_person_works_half_with_either_arm_in_every_family(
    sizes: list[int], seed: int, person: int
) -> None:
    tasks = tasks_of(sizes)
    worked = sitting(tasks, seed, person)
    assert sorted(one.task.id for one in worked) == sorted(task.id for task in tasks)
    for family in {None, *(task.family for task in tasks)}:
        counts = Counter(one.arm for one in worked if family in (None, one.task.family))
        assert abs(counts["teacher"] - counts["student"]) <= 1, family


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 2**40), st.integers(1, 30))
def test_a_couple_works_each_task_with_both_arms_at_the_same_place(
    sizes: list[int], seed: int, couple: int
) -> None:
    tasks = tasks_of(sizes)
    first, second = (sitting(tasks, seed, 2 * couple - one) for one in (1, 0))
    assert couple_of(2 * couple - 1) == couple_of(2 * couple) == couple
    assert [one.task for one in first] == [one.task for one in second]
    pairs = zip(first, second, strict=True)
    assert all({one.arm, other.arm} == set(SIDES) for one, other in pairs)


def test_what_one_couple_had_tells_the_next_nothing() -> None:
    """Over couples, arm and place of a task are as good as tossed; one's arm tells no other's."""
    tasks, couples = tasks_of([3, 3]), 2000
    teacher, first, same = Counter[str](), Counter[str](), Counter[str]()
    before: dict[str, str] = {}
    for couple in range(couples):
        worked = sitting(tasks, 7, 2 * couple + 1)
        arms = {one.task.id: one.arm for one in worked}
        teacher.update(id_ for id_, arm in arms.items() if arm == "teacher")
        same.update(id_ for id_, arm in arms.items() if before.get(id_) == arm)
        first[worked[0].task.id] += 1
        before = dict(arms)
    spread = 5 * (couples / 4) ** 0.5
    for task in tasks:
        assert abs(teacher[task.id] - couples / 2) < spread
        assert abs(same[task.id] - couples / 2) < spread
        assert abs(first[task.id] - couples / 6) < spread


def test_the_seed_decides() -> None:
    tasks = tasks_of([4, 4])
    assert sitting(tasks, 1, 1) == sitting(tasks, 1, 1)
    assert len({str(sitting(tasks, seed, 1)) for seed in range(20)}) > 15


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "a", "text": "x"}\n', "holds 1 tasks"),
        ('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', ":2: id 'a' is there twice"),
        ('{"id": "a"}\n', ":1: key 'text' is missing"),
        ('{"text": "a"}\n', ":1: key 'id' is missing"),
        ('{"id": "a", "text": " "}\n', "'text' is blank"),
        ("[1]\n", ":1: a list is not an item"),
    ],
)
def test_a_bad_task_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_tasks(path)
    assert said in str(caught.value)


def test_tasks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"id": 1, "text": "x"}\n\n{"id": "b", "family": "f", "text": "y"}\n')
    assert read_tasks(path) == (TrialTask("1", "1", "x"), TrialTask("b", "f", "y"))
