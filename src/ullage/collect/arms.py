"""An arm as the engine sees it: whose replies answer a probe's request, and under which key.

`teacher_again` is not another model. It is the teacher asked once more: the same requests with
their replicate numbers shifted, so that they have keys of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ullage.models.types import Access, Ask, Model, Request, Weigh, request_key

AGAIN_REPLICATE = 1_000_000
"""Added to replicate numbers for `teacher_again`; no probe samples that often."""


@dataclass(frozen=True, slots=True)
class ArmView:
    """What the engine must know of an arm; the model itself is needed only to ask."""

    role: str
    identity: str
    access: frozenset[Access]
    deterministic: bool = True
    keyed_by_item: bool = False
    temperature: float = 0.0
    """Replaces greedy decoding."""
    again: bool = False

    @classmethod
    def of(
        cls, role: str, model: Model, *, temperature: float = 0.0, again: bool = False
    ) -> ArmView:
        """The view of an opened model in a role."""
        return cls(
            role=role,
            identity=model.identity,
            access=model.access,
            deterministic=model.deterministic,
            keyed_by_item=model.keyed_by_item,
            temperature=temperature,
            again=again,
        )

    def resolve(self, request: Request) -> Request:
        """The request as this arm's model is asked it."""
        if isinstance(request, Weigh):
            if self.again and not self.deterministic:
                return replace(request, replicate=request.replicate + AGAIN_REPLICATE)
            return request
        return self._resolve_ask(request)

    def _resolve_ask(self, request: Ask) -> Ask:
        temperature = request.temperature or self.temperature
        repeats_itself = temperature == 0.0 and self.deterministic
        replicate = request.replicate
        if self.again and not repeats_itself:
            replicate += AGAIN_REPLICATE
        if temperature == request.temperature and replicate == request.replicate:
            return request
        return replace(request, temperature=temperature, replicate=replicate)

    def key(self, request: Request) -> str:
        """The journal key of an already resolved request."""
        return request_key(
            self.identity, request, item=request.subject.item if self.keyed_by_item else ""
        )


def answering_arm(views: Mapping[str, ArmView], role: str, request: Request) -> ArmView:
    """The arm that answers `request` when `role` is being probed."""
    return views[role if request.of == "self" else request.of]
