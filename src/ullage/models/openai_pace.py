"""How hard an endpoint is asked: adaptive concurrency, backoff and Retry-After."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto

FIRST_LIMIT = 4
"""Requests in flight before anything is known of the endpoint."""
LONGEST_BACKOFF_S = 30.0


class Outcome(Enum):
    """What one attempt says about the load the endpoint bears."""

    GOOD = auto()
    PUSHED_BACK = auto()
    """429, 503 or a timeout."""
    NEITHER = auto()


class AdaptiveLimiter:
    """Bounds the requests in flight by additive increase and multiplicative decrease.

    The limit grows by one with every good answer until the endpoint first pushes back (slow start),
    then by one per `limit` good answers; it halves when the endpoint pushes back, once for all the
    requests that were in flight together. (Chiu & Jain 1989; slow start and one decrease per round
    as in TCP Reno, RFC 5681 §3.1–3.2.)
    """

    def __init__(self, most: int) -> None:
        """Set up.

        Args:
            most: upper bound of the limit.
        """
        self._most = most
        self._limit = float(min(most, FIRST_LIMIT))
        self._slow_start = True
        self._in_flight = 0
        self._round = 0
        self._not_before = -math.inf
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    async def acquire(self) -> int:
        """Wait for a place; returns the round to hand to `release`."""
        loop = asyncio.get_running_loop()
        while True:
            pause = self._not_before - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._in_flight < self.limit:
                self._in_flight += 1
                return self._round
            else:
                await self._wait_for_change(loop.create_future())

    def release(self, turn: int, outcome: Outcome) -> None:
        """Give the place back and learn from what happened."""
        self._in_flight -= 1
        if outcome is Outcome.GOOD:
            self._limit += 1.0 if self._slow_start else 1.0 / self._limit
            self._limit = min(self._limit, float(self._most))
        elif outcome is Outcome.PUSHED_BACK and turn == self._round:
            self._round += 1
            self._slow_start = False
            self._limit = max(1.0, self._limit / 2)
        self._wake()

    def pause(self, seconds: float) -> None:
        """Start nothing for so long: what the endpoint asks of one request holds for all."""
        until = asyncio.get_running_loop().time() + seconds
        self._not_before = max(self._not_before, until)

    async def _wait_for_change(self, change: asyncio.Future[None]) -> None:
        self._waiting.append(change)
        try:
            await change
        except asyncio.CancelledError:
            if change in self._waiting:
                self._waiting.remove(change)
            else:
                self._wake()  # It was this one's turn: pass it on.
            raise

    def _wake(self) -> None:
        for _ in range(self.limit - self._in_flight):
            while self._waiting:
                change = self._waiting.popleft()
                if not change.done():
                    change.set_result(None)
                    break


def backoff(attempt: int, base: float) -> float:
    """Seconds to wait after the failed attempt number `attempt` (from 0): exponential, full jitter.

    Brooker 2015, "Exponential backoff and jitter", AWS Architecture Blog.
    """
    most = min(LONGEST_BACKOFF_S, base * 2.0 ** min(attempt, 32))
    return random.uniform(0.0, most)  # noqa: S311


def retry_after_seconds(value: str | None, date: str | None) -> float | None:
    """What a Retry-After header asks for, in seconds from now; None if it says nothing usable.

    Args:
        value: the header, a number of seconds or an HTTP-date (RFC 9110 §10.2.3).
        date: the response's Date header: the endpoint's clock, which the HTTP-date is told by.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = _http_date(value)
        if until is None:
            return None
        now = _http_date(date) or datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _http_date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
