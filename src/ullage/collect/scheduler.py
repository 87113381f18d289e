"""The scheduler: steps thousands of conversations at once and asks only what nobody has asked.

A window of conversations is kept alive. What they want is looked up in the journal first; what is
missing is merged by key across probes and handed to the model in one call, so that the adapter can
sort and batch. Answers are on disk before a conversation sees them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from ullage.collect.arms import ArmView
from ullage.collect.budget import Spending
from ullage.collect.conversation import LiveConversation, Want
from ullage.collect.journal import Journal, Record
from ullage.models.types import Answer, Failure, Model
from ullage.probes.protocol import Item, Probe

_FLUSH_RECORDS = 256
"""Most answers held back to share one fsync; fewer when none is immediately ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Progress of collecting one arm, given to the caller as answers come in."""

    role: str
    done: int
    """Conversations finished."""
    total: int
    asked: int
    """Requests asked in this session."""
    failed: int
    tokens: int
    """Tokens used by the whole run so far."""
    money: float


OnTick = Callable[[Tick], None]
OpenModel = Callable[[str], Awaitable[Model]]
"""Gives the entered model of a role (``teacher`` or the role being collected)."""


class Collector:
    """Collects the replies of one arm.

    Args:
        role: the arm being probed.
        views: every arm by role.
        open_model: called at most once per answering role, and only if something must be asked.
        journal: where answers are looked up and kept.
        spending: the budget; reaching it raises `InfrastructureError` between requests.
        window: missing requests at which no new conversation is begun.
    """

    def __init__(
        self,
        role: str,
        views: Mapping[str, ArmView],
        open_model: OpenModel,
        journal: Journal,
        spending: Spending,
        *,
        window: int = 1024,
        total: int = 0,
        on_tick: OnTick | None = None,
    ) -> None:
        self._role = role
        self._views = views
        self._open_model = open_model
        self._journal = journal
        self._spending = spending
        self._window = window
        self._total = total
        self._on_tick = on_tick
        self._models: dict[str, Model] = {}
        self._failures: dict[str, Failure] = {}
        self._waiting: dict[str, list[LiveConversation]] = {}
        self._wanted: dict[str, Want] = {}
        self._done = 0
        self._asked = 0

    async def run(self, work: Iterator[tuple[Probe, Item]]) -> None:
        """Ask everything that `work` leads to and that the journal does not hold yet."""
        backlog: deque[LiveConversation] = deque()
        while True:
            self._fill(work, backlog)
            if not self._wanted:
                break
            await self._ask_round(backlog)
        self._tick()

    def _fill(self, work: Iterator[tuple[Probe, Item]], resumed: deque[LiveConversation]) -> None:
        """Step conversations from the journal until the window is full of missing requests."""
        while resumed:
            self._step(resumed.popleft())
        while len(self._wanted) < self._window:
            pair = next(work, None)
            if pair is None:
                return
            self._step(LiveConversation(*pair, self._role, self._views))

    def _step(self, conversation: LiveConversation) -> None:
        """Answer from the journal as far as it goes; then register what is missing."""
        while conversation.outcome is None:
            answers = tuple(self._known(want.key) for want in conversation.wants)
            if None in answers:
                for want, answer in zip(conversation.wants, answers, strict=True):
                    if answer is None:
                        self._wanted.setdefault(want.key, want)
                        self._waiting.setdefault(want.key, []).append(conversation)
                conversation.missing = answers.count(None)
                return
            conversation.give(tuple(answer for answer in answers if answer is not None))
        self._done += 1

    def _known(self, key: str) -> Answer | None:
        """An answer that need not be asked for. Failures of earlier sessions are asked again."""
        failure = self._failures.get(key)
        if failure is not None:
            return failure
        answer = self._journal.get(key)
        return None if isinstance(answer, Failure) else answer

    async def _ask_round(self, resumed: deque[LiveConversation]) -> None:
        by_role: dict[str, list[Want]] = {}
        for want in self._wanted.values():
            by_role.setdefault(want.arm.role, []).append(want)
        for role, wants in by_role.items():
            await self._ask_arm(role, wants, resumed)

    async def _ask_arm(
        self, role: str, wants: list[Want], resumed: deque[LiveConversation]
    ) -> None:
        allowance = self._spending.allowance()
        wants = wants[:allowance]
        if role not in self._models:
            self._models[role] = await self._open_model(role)
        stream = self._models[role].answer([want.request for want in wants])
        buffer: list[tuple[Want, Answer]] = []
        try:
            async with aclosing(_with_pauses(stream)) as answers:
                async for pair in answers:
                    if pair is not None:
                        want = wants[pair[0]]
                        buffer.append((want, pair[1]))
                        self._spending.add(want.arm.identity, pair[1])
                    if pair is None or len(buffer) >= _FLUSH_RECORDS:
                        self._commit(buffer, resumed)
                        self._spending.allowance()
        finally:
            # Also on Ctrl-C and at the end of a budget: what was answered is kept.
            self._commit(buffer, resumed)
        silent = [(want, Failure(reason="no answer")) for want in wants if want.key in self._wanted]
        self._commit(list(silent), resumed)

    def _commit(self, buffer: list[tuple[Want, Answer]], resumed: deque[LiveConversation]) -> None:
        """Put answers on disk, then wake the conversations that waited for them."""
        if not buffer:
            return
        self._journal.append(
            Record(want.key, want.arm.identity, want.request, answer) for want, answer in buffer
        )
        for want, answer in buffer:
            if isinstance(answer, Failure):
                self._failures[want.key] = answer
            self._wanted.pop(want.key, None)
            for conversation in self._waiting.pop(want.key, ()):
                conversation.missing -= 1
                if conversation.missing == 0:
                    resumed.append(conversation)
        self._asked += len(buffer)
        buffer.clear()
        self._tick()

    def _tick(self) -> None:
        if self._on_tick is not None:
            self._on_tick(
                Tick(
                    role=self._role,
                    done=self._done,
                    total=self._total,
                    asked=self._asked,
                    failed=len(self._failures),
                    tokens=self._spending.tokens,
                    money=self._spending.money,
                )
            )


async def _with_pauses(
    stream: AsyncIterator[tuple[int, Answer]],
) -> AsyncGenerator[tuple[int, Answer] | None, None]:
    """The stream's answers, with None whenever the next one is not ready at once."""
    following: asyncio.Future[tuple[int, Answer] | None] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(stream, None))
            done, _ = await asyncio.wait({following}, timeout=0)
            if not done:
                yield None
            pair = await following
            if pair is None:
                return
            yield pair
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
