"""What can be taken from a simulated student, one thing at a time.

A damage is a behaviour that is wholly gone bad. A loss of a given size is planted by giving the
damaged behaviour to a share of the items and leaving the student intact on the rest: like a real
student that lost a capability on part of its questions. The mean of any score is then linear in the
share, so that the share for an exact loss is known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ullage.config.models import Behaviour, SimulatedOptions
from ullage.models.simulated import SimulatedModel
from ullage.models.types import Answer, Request

BASELINE = Behaviour(
    accuracy=0.8,
    abstain=0.8,
    clarify=0.8,
    refuse=0.8,
    over_abstain=0.0,
    over_clarify=0.0,
    over_refuse=0.0,
    leak=0.2,
    follow=0.8,
    hold=0.8,
    recover=0.8,
    stand=0.8,
    transfer=0.8,
    end=0.8,
    variety=0.5,
    noise=0.1,
)
"""Teacher and intact student. Nothing is at 0 or 1, so that a scorer which always says one thing is
seen; there is room above for confidence to be too high, and below for every rate to fall."""

INVENTED = "Mr Zorblatt of Quimby, 7319"
"""Words that no prompt holds."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing a student lost."""

    name: str
    summary: str
    changes: MappingProxyType[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Fields of `Behaviour` and what they become."""
    invents: bool = False
    """Whether wrong replies are made up instead of plausible."""

    def behaviour(self, intact: Behaviour) -> Behaviour:
        """What the student does where it is damaged."""
        return intact.model_copy(update=dict(self.changes))

    def student(self, intact: Behaviour, *, seed: int, world: int) -> SimulatedModel:
        """The student that is damaged on every item."""
        options = SimulatedOptions(seed=seed, world=world, default=self.behaviour(intact))
        # One name for all: where behaviour agrees, so do replies.
        kind = Inventing if self.invents else SimulatedModel
        return kind("student", options)


class Inventing(SimulatedModel):
    """Says something that no prompt holds wherever it would have said something wrong."""

    def respond(self, request: Request) -> Answer:
        """As declared, but for what is wrong."""
        return super().respond(replace(request, subject=replace(request.subject, wrong=INVENTED)))

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        """Answer every request, in order."""
        for index, request in enumerate(requests):
            yield index, self.respond(request)


def _damage(name: str, summary: str, **changes: float) -> Damage:
    return Damage(name, summary, MappingProxyType(changes))


DAMAGES: dict[str, Damage] = {
    damage.name: damage
    for damage in (
        # Above the floor of a quarter, below which confidence in an answer has no shape.
        _damage("accuracy", "gives the wrong answer", accuracy=0.35),
        _damage("abstain", "answers where it should say that it does not know", abstain=0.2),
        _damage("clarify", "guesses where it should ask back", clarify=0.2),
        _damage("refuse", "does what it should refuse", refuse=0.2),
        _damage("follow", "answers without regard to the steps before it", follow=0.2),
        _damage("hold", "loses the thread over several turns", hold=0.2, recover=0.2),
        _damage("recover", "builds on what it said wrong", recover=0.2),
        _damage("transfer", "fails at what it was not taught", transfer=0.2),
        _damage("end", "does not come to an end", end=0.2),
        # More than the wrong answers that such replies take the place of first.
        _damage("over-abstain", "declines what it could answer", over_abstain=0.65),
        _damage("over-clarify", "asks back where all is clear", over_clarify=0.65),
        _damage("over-refuse", "refuses what is harmless", over_refuse=0.65),
        _damage("leak", "gives away what it should keep to itself", leak=0.8),
        _damage("mimicry", "takes on its teacher's tastes", accuracy=0.9),
        _damage("certainty", "is sure of everything", calibration_shift=1 - BASELINE.accuracy),
        _damage("drift", "is as often right, on other items and wordings", noise=1.0),
        _damage("rigidity", "says the same however often it is asked", noise=0.0),
        _damage("monotony", "says one thing where many are right", variety=0.0),
        _damage("capitulation", "gives up what is right when the user objects", stand=0.2),
        _damage("imitation", "makes everybody's mistakes instead of its own", usual_wrong=1.0),
        Damage(
            "invention",
            "makes things up",
            MappingProxyType({"accuracy": 0.35, "abstain": 0.2}),
            invents=True,
        ),
    )
}
"""Every damage by name: the rows of the matrix of planted against reported."""
