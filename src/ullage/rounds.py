"""Which items are asked when: all at once, or in rounds until the verdicts of a probe are in.

With `planning.stop_early` the items of a probe are asked in rounds of whole families, in an order
that the seed shuffles, and after each round its targets are judged by an interval that holds at
every look (`ullage.stats.sequential`). What has been asked follows from plan and journal alone, so
that an audit that is resumed, or scored again, stops where it did.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import numpy.typing as npt

from ullage.collect.conversation import Outcome
from ullage.collect.journal import Journal
from ullage.collect.replay import replay
from ullage.config.models import Budget, Scenario
from ullage.judge import settled
from ullage.plan import Plan, PlannedProbe
from ullage.probes.protocol import FloatArray, Item, Probe
from ullage.scores import ProbeScores
from ullage.stats.families import MIN_FAMILIES

MOST_ROUNDS = 10
"""Of a probe; one of few families has fewer, so that every round has enough to judge by."""
_COMPARED = ("teacher", "base", "student")
"""Arms that verdicts rest on."""

Work = Iterator[tuple[Probe, Item]]


class Rounds:
    """How far each probe of a plan has been asked; begins with the first round.

    Args:
        plan: what may be asked.
        probes: the probes that it names.
    """

    def __init__(self, plan: Plan, probes: Mapping[str, Probe]) -> None:
        self._plan = plan
        self._probes = probes
        self._round_of = {
            name: rounds_of_items(probes[name], share, plan.seed)
            for name, share in plan.probes.items()
        }
        self._asked = dict.fromkeys(plan.probes, 1)
        self._open = set(plan.probes)
        self._kept: dict[str, list[tuple[str, str, dict[str, Outcome]]]] = {}
        """Per probe that is asked in rounds: id, family, and how each arm's conversation ended."""

    def new(self, role: str) -> Work:
        """What this round adds for an arm, lazily and in a fixed order."""
        return (pair for name in self._of(role) if name in self._open for pair in self._last(name))

    def all(self, role: str) -> Work:
        """All that has been asked of an arm up to now, families as their rounds come."""
        for name in self._of(role):
            for number in range(self._asked[name]):
                yield from self._items(name, number)

    def count(self, role: str) -> int:
        """How many conversations `all` yields."""
        return sum(self._count(name) for name in self._of(role))

    def count_new(self, role: str) -> int:
        """How many conversations `new` yields."""
        return sum(
            int((self._round_of[name] == self._asked[name] - 1).sum())
            for name in self._of(role)
            if name in self._open
        )

    def go_on(self, scenario: Scenario, budget: Budget, journal: Journal) -> bool:
        """Begin the next round of every probe that has one and some verdict of which is open.

        Args:
            scenario: the targets in force.
            budget: what share of items may have failed.
            journal: the answers of all rounds up to now.

        Returns:
            Whether there is anything to ask.
        """
        for name in sorted(self._open):
            if self._count(name) == len(self._round_of[name]) or settled(
                [target for target in scenario.targets if target.probe == name],
                self._plan,
                budget,
                self._probes[name],
                self._scores(name, journal),
                of=len(self._plan.targets),
            ):
                self._open.remove(name)
            else:
                self._asked[name] += 1
        return bool(self._open)

    def _of(self, role: str) -> list[str]:
        return [name for name, share in self._plan.probes.items() if role in share.arms]

    def _last(self, name: str) -> Work:
        return self._items(name, self._asked[name] - 1)

    def _items(self, name: str, number: int) -> Work:
        probe = self._probes[name]
        planned = zip(self._round_of[name], probe.items(self._plan.seed), strict=False)
        return ((probe, item) for its_round, item in planned if its_round == number)

    def _count(self, name: str) -> int:
        return int((self._round_of[name] < self._asked[name]).sum())

    def _scores(self, name: str, journal: Journal) -> ProbeScores:
        """What the arms compared scored on all that has been asked, this round's items added."""
        probe, views = self._probes[name], self._plan.views()
        roles = [role for role in _COMPARED if role in self._plan.probes[name].arms]
        kept = self._kept.setdefault(name, [])
        for _, item in self._last(name):
            outcomes = {role: replay(probe, item, role, views, journal) for role in roles}
            kept.append((item.id, item.family, outcomes))
        families = list(dict.fromkeys(family for _, family, _ in kept))
        codes = {family: code for code, family in enumerate(families)}
        values: dict[tuple[str, str], FloatArray] = {}
        for place, (_, _, outcomes) in enumerate(kept):
            for role, outcome in outcomes.items():
                for column, value in outcome.values.items():
                    scored = values.setdefault((role, column), np.full(len(kept), np.nan))
                    scored[place] = value
        errors = {role: [outcomes[role].error for _, _, outcomes in kept] for role in roles}
        return ProbeScores(
            items=[item for item, _, _ in kept],
            family_names=families,
            family=np.array([codes[family] for _, family, _ in kept], dtype=np.int64),
            values=values,
            errors={role: np.array([one is not None for one in errors[role]]) for role in roles},
            reasons={role: Counter(one for one in errors[role] if one) for role in roles},
        )


def rounds_of_items(probe: Probe, share: PlannedProbe, seed: int) -> npt.NDArray[np.int64]:
    """In which round each planned item is asked, (items,); all in the first where none may be left.

    A round is a few whole families, drawn by the seed.
    """
    if not share.stops_early:
        return np.zeros(share.items, dtype=np.int64)
    planned = islice(probe.items(seed), share.items)
    codes = np.unique([item.family for item in planned], return_inverse=True)[1]
    count = int(codes.max()) + 1
    # random() is the one method whose sequence Python promises to keep across versions.
    draw = random.Random(f"{seed}/{probe.name}/rounds").random  # noqa: S311 - no secret
    chances = [draw() for _ in range(count)]
    place = np.argsort(np.argsort(chances))
    size = max(MIN_FAMILIES, -(-count // MOST_ROUNDS))
    return (place // size)[codes].astype(np.int64)


def rounds_asked(
    plan: Plan,
    probes: Mapping[str, Probe],
    scenario: Scenario,
    budget: Budget,
    journal: Journal,
) -> Rounds:
    """How far an audit went, as follows from its journal."""
    rounds = Rounds(plan, probes)
    while rounds.go_on(scenario, budget, journal):
        pass
    return rounds
