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
from ullage.errors import UllageError
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
        done: conversations that ended before, for the progress that is shown.
        total: conversations there will be, those among them.
        on_tick: told of progress.
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
        done: int = 0,
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
        self._fresh: dict[str, Answer] = {}
        """Answers of the round just over, to spare reading them back from the journal."""
        self._buffer: list[tuple[Want, Answer]] = []
        self._trouble: UllageError | None = None
        self._waiting: dict[str, list[LiveConversation]] = {}
        self._wanted: dict[str, Want] = {}
        self._resumed: deque[LiveConversation] = deque()
        """Conversations all of whose answers have come."""
        self._done = done
        self._asked = 0

    async def run(self, work: Iterator[tuple[Probe, Item]]) -> None:
        """Ask everything that `work` leads to and that the journal does not hold yet."""
        while True:
            self._fill(work)
            if not self._wanted:
                break
            await self._ask_round()
        self._tick()

    def _fill(self, work: Iterator[tuple[Probe, Item]]) -> None:
        """Step conversations from the journal until the window is full of missing requests."""
        while self._resumed:
            self._step(self._resumed.popleft())
        self._fresh.clear()
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
        answer = self._fresh.get(key) or self._failures.get(key)
        if answer is not None:
            return answer
        answer = self._journal.get(key)
        return None if isinstance(answer, Failure) else answer

    async def _ask_round(self) -> None:
        by_role: dict[str, list[Want]] = {}
        for want in self._wanted.values():
            by_role.setdefault(want.arm.role, []).append(want)
        for role, wants in by_role.items():
            await self._ask_arm(role, wants)

    async def _ask_arm(self, role: str, wants: list[Want]) -> None:
        allowance = self._spending.allowance()
        wants = wants[:allowance]
        if role not in self._models:
            self._models[role] = await self._open_model(role)
        stream = self._models[role].answer([want.request for want in wants])
        waiting = len(wants)
        try:
            async with aclosing(_closable(stream)) as answers:
                async for place, answer in answers:
                    waiting -= 1
                    self._buffer.append((wants[place], answer))
                    self._spending.add(wants[place].arm.identity, answer)
                    self._commit_soon()
                    if waiting:
                        self._spending.allowance()
        finally:
            # Also on Ctrl-C and at the end of a budget: what was answered is kept.
            self._commit()
        self._buffer += [
            (want, Failure(reason="no answer")) for want in wants if want.key in self._wanted
        ]
        self._commit()

    def _commit_soon(self) -> None:
        """Commit as soon as no further answer is ready, so that those which are share one fsync."""
        if self._trouble is not None:
            raise self._trouble
        if len(self._buffer) >= _FLUSH_RECORDS:
            self._commit()
        elif len(self._buffer) == 1:
            asyncio.get_running_loop().call_soon(self._commit_later)

    def _commit_later(self) -> None:
        try:
            self._commit()
        except UllageError as error:
            # Raised from a callback it would be lost; the collecting task raises it instead.
            self._trouble = error

    def _commit(self) -> None:
        """Put answers on disk, then wake the conversations that waited for them."""
        buffer, self._buffer = self._buffer, []
        if not buffer:
            return
        self._journal.append(
            Record(want.key, want.arm.identity, want.request, answer) for want, answer in buffer
        )
        for want, answer in buffer:
            if isinstance(answer, Failure):
                self._failures[want.key] = answer
            self._fresh[want.key] = answer
            self._wanted.pop(want.key, None)
            for conversation in self._waiting.pop(want.key, ()):
                conversation.missing -= 1
                if conversation.missing == 0:
                    self._resumed.append(conversation)
        self._asked += len(buffer)
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


async def _closable(
    stream: AsyncIterator[tuple[int, Answer]],
) -> AsyncGenerator[tuple[int, Answer], None]:
    """The stream, closed with its consumer even where the adapter's iterator has no `aclose`."""
    try:
        async for pair in stream:
            yield pair
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
