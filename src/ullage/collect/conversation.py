"""One live conversation of a probe with an arm: a generator, stepped by whoever has answers.

Both collecting (ask what the journal lacks) and scoring (ask nothing) step conversations through
this class, so the two cannot disagree on what was asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ullage.collect.arms import ArmView, answering_arm
from ullage.models.types import (
    Answer,
    Ask,
    Failure,
    Reply,
    Request,
    Sample,
    Subject,
    Weigh,
    Weights,
)
from ullage.probes.protocol import Item, Probe


@dataclass(frozen=True, slots=True)
class Want:
    """A resolved request, the arm that answers it, and its journal key."""

    arm: ArmView
    request: Request
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a conversation ended."""

    values: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    """Why the item could not be scored; None when it was."""


class LiveConversation:
    """A probe's generator for one item and arm, and what it is waiting for.

    After construction and after every `give`, either `outcome` is set or `wants` lists the requests
    (one, or n for a `Sample`) whose answers `give` expects, in order.
    """

    __slots__ = (
        "_generator",
        "_role",
        "_sampled",
        "_subject",
        "_views",
        "missing",
        "outcome",
        "wants",
    )

    def __init__(self, probe: Probe, item: Item, role: str, views: Mapping[str, ArmView]) -> None:
        self._generator = probe.converse(item)
        self._subject: Subject = item.subject(probe.name)
        self._role = role
        self._views = views
        self._sampled = False
        self.outcome: Outcome | None = None
        self.wants: tuple[Want, ...] = ()
        self.missing = 0
        """Answers still to come before `give` can be called; kept by the scheduler."""
        self._advance(None)

    def give(self, answers: tuple[Answer, ...]) -> None:
        """Answer everything in `wants`; a failure among them ends the conversation."""
        for answer in answers:
            if isinstance(answer, Failure):
                self._generator.close()
                self._finish(Outcome(error=answer.reason))
                return
        good = tuple(answer for answer in answers if not isinstance(answer, Failure))
        if self._sampled:
            self._advance(tuple(answer for answer in good if isinstance(answer, Reply)))
        else:
            self._advance(good[0])

    def _advance(self, answer: Reply | tuple[Reply, ...] | Weights | None) -> None:
        try:
            # A generator that has not started may only be sent None.
            request = next(self._generator) if answer is None else self._generator.send(answer)
        except StopIteration as stop:
            self._finish(_checked(stop.value))
        except Exception as error:  # a third party's probe must not take the audit down
            self._finish(Outcome(error=f"probe raised {type(error).__name__}"))
        else:
            self._want(request)

    def _want(self, request: Ask | Sample | Weigh) -> None:
        self._sampled = isinstance(request, Sample)
        requests: list[Request] = list(request.asks()) if isinstance(request, Sample) else [request]
        self.wants = tuple(self._resolve(one) for one in requests)

    def _resolve(self, request: Request) -> Want:
        if not request.subject.item:
            request = replace(request, subject=self._subject)
        arm = answering_arm(self._views, self._role, request)
        request = arm.resolve(request)
        return Want(arm, request, arm.key(request))

    def _finish(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.wants = ()


def _checked(values: Mapping[str, float]) -> Outcome:
    """A probe's scores, refused when one of them is not a number."""
    for name, value in values.items():
        if not math.isfinite(value):
            return Outcome(error=f"score {name} is {value}")
    return Outcome(values=values)
