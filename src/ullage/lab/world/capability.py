"""A capability of the world: what can be asked, and what is right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random
from typing import ClassVar

from ullage.lab.world.desk import NO_DESK, WHOLE, Bias, Desk, draw_desk
from ullage.lab.world.exchange import Exchange, Split
from ullage.lab.world.wordings import Wording


class Capability(ABC):
    """One thing a desk assistant can do. Write one in a file of its own and register it."""

    name: ClassVar[str]
    dimension: ClassVar[str]
    """The dimension of `ullage.probes.protocol.Dimension` it exercises."""
    phrases: ClassVar[tuple[str, ...]]
    """Ways to put the question; what a capability does with them is its own matter."""
    spoken: ClassVar[tuple[str, ...]] = ()
    """All other text it may write, as templates: the vocabulary is built from it."""
    hard: ClassVar[bool] = False
    """Whether several steps are needed: the teacher is held to 85 % here and to 95 % elsewhere."""
    exact: ClassVar[bool] = True
    """Whether there is one right reply; False where the answer is a matter of chance."""

    needs_desk: ClassVar[bool] = True
    """Whether there must be orders before the question."""
    fills: ClassVar[bool] = False
    """Whether an episode may ask it beside another capability, on a desk that suits that one."""
    taught: ClassVar[bool] = True
    """Whether episodes teach it; False for what is only ever asked."""

    def desk(self, draw: Random, split: Split, bias: Bias = WHOLE) -> Desk:
        """A desk on which the question can be asked; `NO_DESK` where none is needed."""
        return draw_desk(draw, bias=bias) if self.needs_desk else NO_DESK

    @abstractmethod
    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """One exchange on this desk; None if the desk does not allow it."""

    def family(self, desk: Desk, wording: Wording, kind: str = "") -> str:
        """The name of a family: capability, kind, layout and wording."""
        layout = f"/{desk.styles.layout}" if desk.orders else ""
        return f"{self.name}{f'-{kind}' if kind else ''}{layout}/{wording.key}"
