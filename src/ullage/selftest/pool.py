"""Asking simulated arms: every item once of every arm, to be drawn from by many trials.

Trials take disjoint blocks of one pool. That is as good as asking anew: a probe's stream makes item
i on its own, families take turns in it, and an arm's replies to different items are independent, so
each block is distributed as the first items of another seed. A probe with a fixed list of items
(a file) is asked again in another *world*, where other items are hard.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from ullage.collect.arms import ArmView
from ullage.collect.conversation import LiveConversation, Outcome
from ullage.config.models import Behaviour, SimulatedOptions
from ullage.models.simulated import SimulatedModel
from ullage.models.types import Access, Answer, Request
from ullage.probes.protocol import Item, Probe
from ullage.selftest.damages import Damage

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TEACHER, INTACT, BASE, JUDGE = "teacher", "intact", "base", "judge"
"""Arms of a pool beside the damaged ones: the teacher, a student that lost nothing and, for metrics
that compare with it and probes that ask it, a base that is as that student, and a judge."""

JUDGING = Behaviour(judge=0.9, noise=0.1)
"""How that judge behaves: one that errs, on its own and sometimes with itself."""

_SAME_ITEMS = 200
"""Items on which a damage must change a reply, or it is taken to change none."""


class _Unkeyed(ArmView):
    """An arm whose replies are kept by nobody: hashing requests would take a third of the time."""

    def key(self, request: Request) -> str:
        return ""


@dataclass
class Table:
    """Scores of one arm, in the pool's order."""

    values: dict[str, FloatArray]
    """Column to (items,), NaN where there is no score."""
    errors: npt.NDArray[np.bool_]
    """(items,): could not be scored."""
    reasons: Counter[str]


@dataclass
class Pool:
    """What every arm scored on the same items."""

    family_names: list[str]
    family: IntArray
    """(items,) index into `family_names`."""
    block: int
    """Items of one trial at most; trial r begins at item r * block."""
    tables: dict[str, Table]
    """By arm: `TEACHER`, `INTACT`, `BASE` where wanted, and damages by name. A damage that changes
    no reply of this probe is not there, and one that is wanted here and there has fewer items."""
    prompts: tuple[int, ...]
    """For some items, in how many wordings each is put."""
    answered: bool
    """Whether any item says what a right reply is."""


class _Column:
    """Scores of one arm as they come in: half a million conversations are many objects."""

    def __init__(self) -> None:
        self._values: dict[str, array[float]] = {}
        self._errors = bytearray()
        self._reasons: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        for name, value in outcome.values.items():
            column = self._values.setdefault(name, array("d"))
            column.extend([math.nan] * (len(self._errors) - len(column)))
            column.append(value)
        self._errors.append(outcome.error is not None)
        if outcome.error is not None:
            self._reasons[outcome.error] += 1

    def table(self) -> Table:
        size = len(self._errors)
        for column in self._values.values():
            column.extend([math.nan] * (size - len(column)))
        return Table(
            values={name: np.array(column) for name, column in self._values.items()},
            errors=np.frombuffer(bytes(self._errors), dtype=np.bool_),
            reasons=self._reasons,
        )


def ask_pool(
    probe: Probe,
    intact: Behaviour,
    damages: Mapping[str, tuple[Damage, int]],
    *,
    teacher: Behaviour | None = None,
    block: int,
    blocks: int,
    seed: int,
) -> Pool:
    """Ask teacher, intact student and damaged ones, and a base where a metric counts from it.

    Args:
        probe: whose items are asked.
        intact: how the undamaged student and the base behave.
        teacher: how the teacher behaves, if otherwise.
        damages: by name, each with the number of blocks it is wanted on.
        block: items of one trial.
        blocks: trials.
        seed: of items and of every reply.
    """
    based = [BASE] if any(metric.against == BASE for metric in probe.metrics) else []
    always = (TEACHER, INTACT, *based)
    columns: dict[str, _Column] = {name: _Column() for name in (*always, *damages)}
    wanted = dict.fromkeys(always, blocks) | {name: of for name, (_, of) in damages.items()}
    heard: dict[str, bool] = dict.fromkeys(damages, False)
    families: dict[str, int] = {}
    codes: list[int] = []
    first: list[Item] = []
    arms: dict[str, SimulatedModel] = {}
    world = -1
    for index, (now, item) in enumerate(_stream(probe, block, blocks, seed)):
        if now != world:
            world, arms = now, _arms(intact, teacher or intact, damages, seed=seed, world=now)
        codes.append(families.setdefault(item.family, len(families)))
        if index < _SAME_ITEMS:
            first.append(item)
        said: list[Answer] = []
        for name, column in columns.items():
            if index >= wanted[name] * block or (
                name in heard and not heard[name] and index >= _SAME_ITEMS
            ):
                continue
            replies: list[Answer] = []
            column.add(_converse(probe, item, name, arms, replies))
            if name == INTACT:
                said = replies
            elif name in heard:
                heard[name] |= replies != said
    return Pool(
        family_names=list(families),
        family=np.array(codes, dtype=np.int64),
        block=block,
        tables={name: column.table() for name, column in columns.items() if heard.get(name, True)},
        prompts=tuple(len(item.data.get("prompts", ("",))) for item in first),
        answered=any(item.answer for item in first),
    )


def _stream(probe: Probe, block: int, blocks: int, seed: int) -> Iterator[tuple[int, Item]]:
    """(world, item): an endless stream once, or a finite list again in world after world."""
    if probe.size is None:
        yield from ((seed, item) for item in islice(probe.items(seed), block * blocks))
        return
    items = list(islice(probe.items(seed), block))
    for world in range(blocks):
        yield from ((seed * blocks + world, item) for item in items)


def _arms(
    intact: Behaviour,
    teacher: Behaviour,
    damages: Mapping[str, tuple[Damage, int]],
    *,
    seed: int,
    world: int,
) -> dict[str, SimulatedModel]:
    """One world's models. All students share their own latents, so that damages are comparable."""
    own = SimulatedOptions(seed=2 * seed, world=world, default=teacher)
    theirs = own.model_copy(update={"seed": 2 * seed + 1, "default": intact})
    return {
        TEACHER: SimulatedModel("teacher", own),
        BASE: SimulatedModel("base", theirs),
        JUDGE: SimulatedModel("judge", own.model_copy(update={"default": JUDGING})),
        INTACT: SimulatedModel("student", theirs),
        **{
            name: damage.student(intact, seed=2 * seed + 1, world=world)
            for name, (damage, _) in damages.items()
        },
    }


def _converse(
    probe: Probe, item: Item, arm: str, arms: Mapping[str, SimulatedModel], said: list[Answer]
) -> Outcome:
    """One conversation, as the engine has it, with every reply it was given."""
    role = arm if arm in (TEACHER, BASE) else "student"
    models = {one: arms[one] for one in (TEACHER, BASE, JUDGE)} | {"student": arms[arm]}
    conversation = LiveConversation(probe, item, role, _VIEWS)
    while conversation.outcome is None:
        answers = tuple(models[want.arm.role].respond(want.request) for want in conversation.wants)
        said.extend(answers)
        conversation.give(answers)
    return conversation.outcome


_VIEWS: dict[str, ArmView] = {
    role: _Unkeyed(role=role, identity=role, access=frozenset(Access), keyed_by_item=True)
    for role in (TEACHER, BASE, JUDGE, "student")
}


def rows(table: Table, columns: Sequence[str], where: slice) -> FloatArray:
    """(items, columns) of a block; a column that was never scored is all NaN."""
    nothing = np.full(len(table.errors), np.nan)
    return np.column_stack([table.values.get(name, nothing)[where] for name in columns])
