"""Concurrency is bounded and follows what the endpoint bears; waits are what they should be."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.asking import NAME, ask_server, question, questions
from tests.support.server import Fault, LoopbackServer
from ullage.config.models import OpenAIOptions
from ullage.models.openai import OpenAIModel
from ullage.models.openai_pace import (
    FIRST_LIMIT,
    LONGEST_BACKOFF_S,
    AdaptiveLimiter,
    Outcome,
    backoff,
    retry_after_seconds,
)
from ullage.models.types import Reply


@pytest.mark.parametrize("most", [1, 3, 12])
def test_concurrency_grows_and_never_passes_its_bound(most: int) -> None:
    with LoopbackServer(latency=0.03) as server:
        found = ask_server(server, questions(10 * most), max_concurrency=most)
        seen = server.stats()["max_in_flight"]
    assert all(isinstance(answer, Reply) for answer in found)
    # A busy machine may not get all of them on their way at once; half is still adapted.
    assert max(1, most // 2) <= seen <= most
    assert most // 2 > FIRST_LIMIT or most < 12


def test_concurrency_comes_down_to_what_the_endpoint_bears() -> None:
    """Of 400 requests to a server that takes 5 at once, 32 blind workers would have 27 in 32
    refused; an adaptive client has few refused, and every request answered."""
    with LoopbackServer(latency=0.01, capacity=5) as server:
        found = ask_server(server, questions(400), max_concurrency=32, max_attempts=30)
        stats = server.stats()
    assert all(isinstance(answer, Reply) for answer in found)
    assert stats["by_status"]["200"] == 400
    refused = stats["by_status"]["429"]
    assert 0 < refused < 200
    late = stats["requests"][-200:]
    assert sum(entry["status"] == 429 for entry in late) < 60


def test_slow_replies_do_not_hold_the_others_up() -> None:
    with LoopbackServer(faults=[Fault("hang", contains="question 0.")], latency=0.005) as server:

        async def run() -> float:
            options = OpenAIOptions(base_url=server.url, timeout_s=1.0, max_attempts=1)
            async with await OpenAIModel.open(NAME, options) as model:
                started = time.monotonic()
                done = 0
                async for index, _ in model.answer(questions(60)):
                    done += index != 0
                    if done == 59:
                        return time.monotonic() - started
            raise AssertionError

        assert asyncio.run(run()) < 0.9


def test_limiter_reaches_its_bound() -> None:
    async def run() -> None:
        limiter = AdaptiveLimiter(12)
        for _ in range(20):
            limiter.release(await limiter.acquire(), Outcome.GOOD)
        turns = [await asyncio.wait_for(limiter.acquire(), 1) for _ in range(12)]
        assert turns == [0] * 12
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limiter.acquire(), 0.01)

    asyncio.run(run())


def test_limiter_halves_once_for_a_round_and_grows_by_one_for_a_round() -> None:
    async def run() -> None:
        limiter = AdaptiveLimiter(64)
        for _ in range(28):
            limiter.release(await limiter.acquire(), Outcome.GOOD)
        assert limiter.limit == FIRST_LIMIT + 28
        turns = [await limiter.acquire() for _ in range(limiter.limit)]
        for turn in turns:
            limiter.release(turn, Outcome.PUSHED_BACK)
        assert limiter.limit == (FIRST_LIMIT + 28) // 2 == 16
        # One more place after about `limit` good answers; no longer one for each.
        for _ in range(15):
            limiter.release(await limiter.acquire(), Outcome.GOOD)
        assert limiter.limit == 16
        for _ in range(2):
            limiter.release(await limiter.acquire(), Outcome.GOOD)
        assert limiter.limit == 17
        for _ in range(20):
            limiter.release(await limiter.acquire(), Outcome.PUSHED_BACK)
        assert limiter.limit == 1

    asyncio.run(run())


@given(
    most=st.integers(1, 9),
    outcomes=st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=60),
    cancelled=st.sets(st.integers(0, 59)),
)
def test_limiter_is_never_over_its_bound_and_always_lets_everyone_through(
    most: int, outcomes: list[Outcome], cancelled: set[int]
) -> None:
    async def run() -> None:
        limiter = AdaptiveLimiter(most)
        in_flight = 0
        through = set()

        async def one(number: int, outcome: Outcome) -> None:
            nonlocal in_flight
            turn = await limiter.acquire()
            in_flight += 1
            assert in_flight <= most
            try:
                await asyncio.sleep(0)
            finally:
                in_flight -= 1
                limiter.release(turn, outcome)
            through.add(number)

        tasks = [asyncio.create_task(one(n, outcome)) for n, outcome in enumerate(outcomes)]
        await asyncio.sleep(0)
        for number in cancelled & set(range(len(tasks))):
            tasks[number].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert through >= set(range(len(tasks))) - cancelled
        assert in_flight == 0

    asyncio.run(run())


@given(attempt=st.integers(0, 2000), base=st.floats(0.001, 2))
def test_backoff_is_between_nothing_and_the_doubled_base(attempt: int, base: float) -> None:
    wait = backoff(attempt, base)
    assert 0 <= wait <= min(LONGEST_BACKOFF_S, base * 2 ** min(attempt, 30))


def test_backoff_uses_the_whole_range() -> None:
    waits = [backoff(3, 0.5) for _ in range(2000)]
    assert min(waits) < 0.1
    assert max(waits) > 3.9
    assert abs(sum(waits) / 2000 - 2.0) < 0.15  # 5.8 standard errors of a uniform mean


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("2", 2.0), ("1.5", 1.5), (" 7 ", 7.0)]
    + [(bad, None) for bad in ("-1", "nan", "inf", "soon", "", "Wed, 99 Foo 2026")],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, None) == seconds


def test_retry_after_as_a_date_is_told_by_the_endpoints_clock() -> None:
    there = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    until = format_datetime(there + timedelta(seconds=90), usegmt=True)
    assert retry_after_seconds(until, format_datetime(there, usegmt=True)) == 90
    assert retry_after_seconds(until, None) == 0.0
    ahead = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after_seconds(ahead, "not a date") == pytest.approx(29.5, abs=1.0)
    assert retry_after_seconds(None, None) is None


def test_cancelling_leaves_no_task_and_no_connection() -> None:
    with LoopbackServer(faults=[Fault("hang")]) as server:

        async def run() -> None:
            options = OpenAIOptions(base_url=server.url, timeout_s=30)
            async with await OpenAIModel.open(NAME, options) as model:

                async def consume() -> None:
                    async for _ in model.answer(questions(20)):
                        raise AssertionError("nothing is answered")

                task = asyncio.create_task(consume())
                while server.stats()["in_flight"] < FIRST_LIMIT:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert asyncio.all_tasks() == {asyncio.current_task()}
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(run())
        until = time.monotonic() + 5
        while server.stats()["connections"] and time.monotonic() < until:
            time.sleep(0.01)
        assert server.stats()["connections"] == 0


def test_stopping_half_way_leaves_no_task_and_the_model_goes_on() -> None:
    with LoopbackServer(latency=0.005) as server:

        async def run() -> None:
            options = OpenAIOptions(base_url=server.url)
            async with await OpenAIModel.open(NAME, options) as model:
                stream = model.answer(questions(50))
                taken = [await anext(stream) for _ in range(5)]
                await stream.aclose()  # type: ignore[attr-defined]
                assert len(taken) == 5
                assert asyncio.all_tasks() == {asyncio.current_task()}
                again = [pair async for pair in model.answer([question("one more")])]
                assert isinstance(again[0][1], Reply)

        asyncio.run(run())
