"""The scheduler asks what nobody has asked, once, and loses nothing when stopped."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import pytest

from tests.collect.fakes import CountingModel, Everything, TwoTurns
from ullage.collect.arms import AGAIN_REPLICATE, ArmView
from ullage.collect.budget import Spending
from ullage.collect.conversation import Outcome
from ullage.collect.journal import Journal
from ullage.collect.replay import NOT_ASKED, replay
from ullage.collect.scheduler import Collector, Tick
from ullage.collect.uses import Uses
from ullage.config.models import Budget, Price
from ullage.errors import InfrastructureError
from ullage.models.types import Answer, Ask, Failure, Model, Reply, Request, Weigh, user
from ullage.probes.protocol import Item, Probe


def collect(
    journal: Journal,
    models: Mapping[str, CountingModel],
    role: str,
    probes: list[tuple[Probe, int]],
    *,
    budget: Budget | None = None,
    window: int = 16,
    again_temperature: float = 0.0,
    on_tick: Callable[[Tick], None] | None = None,
) -> dict[str, ArmView]:
    views = {name: ArmView.of(name, model) for name, model in models.items()}
    if "teacher" in models:
        views["teacher_again"] = ArmView.of(
            "teacher_again", models["teacher"], temperature=again_temperature, again=True
        )

    async def open_model(name: str) -> Model:
        return models["teacher" if name == "teacher_again" else name]

    price = {model.identity: Price(input_per_million=1e6) for model in models.values()}
    spending = Spending(budget or Budget(), price)
    spending.add_earlier(journal.answers())
    work = [(probe, item) for probe, n in probes for item in islice(probe.items(0), n)]
    collector = Collector(
        role, views, open_model, journal, spending, window=window, total=len(work), on_tick=on_tick
    )
    asyncio.run(collector.run(iter(work)))
    return views


def outcomes(
    journal: Journal, views: Mapping[str, ArmView], role: str, probe: Probe, n: int
) -> list[Outcome]:
    return [replay(probe, item, role, views, journal) for item in islice(probe.items(0), n)]


def test_every_conversation_is_finished_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    models = {"teacher": CountingModel("t"), "student": CountingModel("s")}
    with Journal(tmp_path / "r.jsonl") as journal:
        for role in models:
            views = collect(journal, models, role, [(TwoTurns(), 100), (Everything(), 40)])
        for role, model in models.items():
            assert max(Counter(model.asked).values()) == 1
            for probe, n in ((TwoTurns(), 100), (Everything(), 40)):
                for item in islice(probe.items(0), n):
                    assert replay(probe, item, role, views, journal).error is None
        # 100 + 100 turns; 40 × (ask + 3 samples + weigh), whose first asks are turns asked already.
        assert len(models["student"].asked) == 100 + 100 + 40 * (3 + 1)
        before = len(models["student"].asked)
        collect(journal, models, "student", [(TwoTurns(), 100), (Everything(), 40)])
        assert len(models["student"].asked) == before


def test_windows_do_not_change_what_is_scored(tmp_path: Path) -> None:
    results = []
    for window in (1, 7, 1000):
        models = {"teacher": CountingModel("t"), "student": CountingModel("s")}
        with Journal(tmp_path / f"{window}.jsonl") as journal:
            for role in models:
                views = collect(journal, models, role, [(Everything(), 40)], window=window)
            results.append(outcomes(journal, views, "student", Everything(), 40))
            # A conversation wants at most its three samples at once.
            assert max(models["student"].batches) <= 3 * window
    assert results[0] == results[1] == results[2]


def test_a_student_request_of_the_teacher_goes_to_the_teacher(tmp_path: Path) -> None:
    models = {"teacher": CountingModel("t"), "student": CountingModel("s")}
    with Journal(tmp_path / "r.jsonl") as journal:
        views = collect(journal, models, "student", [(Everything(), 40)])
        assert len(models["teacher"].asked) == 40
        scored = outcomes(journal, views, "student", Everything(), 1)[0]
        assert scored.values["same"] == 0.0


def test_two_models_of_one_name_never_share_a_reply(tmp_path: Path) -> None:
    """Done-when 4 at the level of the journal: keys are made of identity."""
    first = {"teacher": CountingModel("x"), "student": CountingModel("one")}
    second = {"teacher": CountingModel("x"), "student": CountingModel("two")}
    with Journal(tmp_path / "r.jsonl") as journal:
        collect(journal, first, "student", [(TwoTurns(), 10)])
        views = collect(journal, second, "student", [(TwoTurns(), 10)])
        assert len(second["student"].asked) == 20
        request = Ask(messages=(user("q 0"),))
        answer = journal.get(views["student"].key(request))
        assert isinstance(answer, Reply)
        assert answer.text.startswith("two says")


def test_a_failure_is_an_error_and_is_asked_again_only_by_the_next_session(tmp_path: Path) -> None:
    def fails(request: Request) -> Answer | None:
        return Failure(reason="http 500") if request.messages[-1].content == "q 3" else None

    models = {"teacher": CountingModel("t", fails=fails)}
    with Journal(tmp_path / "r.jsonl") as journal:
        views = collect(journal, models, "teacher", [(TwoTurns(), 10)])
        errors = [o.error for o in outcomes(journal, views, "teacher", TwoTurns(), 10)]
        assert errors == [None] * 3 + ["http 500"] + [None] * 6
        assert len(models["teacher"].asked) == 19
        models["teacher"].fails = lambda _: None
        collect(journal, models, "teacher", [(TwoTurns(), 10)])
        assert len(models["teacher"].asked) == 21
        assert all(o.error is None for o in outcomes(journal, views, "teacher", TwoTurns(), 10))


def test_a_model_that_forgets_a_request_is_an_error_not_a_loop(tmp_path: Path) -> None:
    class Forgetful(CountingModel):
        async def answer(self, requests):  # type: ignore[no-untyped-def]
            async for place, answer in super().answer(requests):
                if place != 0:
                    yield place, answer

    models = {"teacher": Forgetful("t")}
    with Journal(tmp_path / "r.jsonl") as journal:
        views = collect(journal, models, "teacher", [(TwoTurns(), 5)], window=5)
        found = outcomes(journal, views, "teacher", TwoTurns(), 5)
        assert found[0].error == "no answer"


def test_a_budget_of_requests_is_never_passed_and_can_be_raised(tmp_path: Path) -> None:
    models = {"teacher": CountingModel("t")}
    with Journal(tmp_path / "r.jsonl") as journal:
        with pytest.raises(InfrastructureError, match=r"budget\.requests: 37 of 37 is spent"):
            collect(journal, models, "teacher", [(TwoTurns(), 50)], budget=Budget(requests=37))
        assert len(models["teacher"].asked) == 37 == len(journal)
        collect(journal, models, "teacher", [(TwoTurns(), 50)], budget=Budget(requests=100))
        assert len(models["teacher"].asked) == 100


def test_money_and_tokens_stop_too(tmp_path: Path) -> None:
    for name, budget in (("tokens", Budget(tokens=200)), ("money", Budget(money=150.0))):
        models = {"teacher": CountingModel("t", delay=0.001)}
        with Journal(tmp_path / f"{name}.jsonl") as journal:
            with pytest.raises(InfrastructureError, match=rf"budget\.{name}"):
                collect(journal, models, "teacher", [(TwoTurns(), 500)], budget=budget)
            # 15 tokens and 10 money a reply: the first to reach the limit is the last asked.
            assert len(journal) == {"tokens": 14, "money": 15}[name]


def test_being_cancelled_keeps_what_was_answered(tmp_path: Path) -> None:
    models = {"teacher": CountingModel("t", delay=0.002)}
    views = {"teacher": ArmView.of("teacher", models["teacher"])}

    async def open_model(_: str) -> Model:
        return models["teacher"]

    async def main(journal: Journal) -> None:
        work = iter([(TwoTurns(), item) for item in islice(TwoTurns().items(0), 500)])
        collector = Collector("teacher", views, open_model, journal, Spending(Budget(), {}))
        task = asyncio.create_task(collector.run(work))
        while len(journal) < 6:  # noqa: ASYNC110 - a journal tells nobody
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with Journal(tmp_path / "r.jsonl") as journal:
        asyncio.run(main(journal))
        assert 5 < len(journal) < 500
        # At most the one reply on the wire is lost.
        assert len(models["teacher"].asked) - len(journal) <= 1


def test_ticks_count_up_to_the_total(tmp_path: Path) -> None:
    ticks: list[Tick] = []
    models = {"teacher": CountingModel("t")}
    with Journal(tmp_path / "r.jsonl") as journal:
        collect(journal, models, "teacher", [(TwoTurns(), 60)], on_tick=ticks.append)
    done = [tick.done for tick in ticks]
    assert done == sorted(done)
    assert (ticks[-1].done, ticks[-1].total, ticks[-1].asked) == (60, 60, 120)
    assert ticks[-1].tokens == 120 * 15


def test_teacher_again_is_asked_anew_only_where_it_can_differ() -> None:
    model = CountingModel("t")
    greedy, weighing = (
        Ask(messages=(user("q"),)),
        Weigh(messages=(user("q"),), continuations=("a",)),
    )
    sampled = Ask(messages=(user("q"),), temperature=1.0, replicate=2)
    again = ArmView.of("teacher_again", model, again=True)
    assert again.resolve(greedy) == greedy
    assert again.resolve(weighing) == weighing
    assert again.resolve(sampled).replicate == 2 + AGAIN_REPLICATE
    warm = ArmView.of("teacher_again", model, temperature=0.5, again=True).resolve(greedy)
    assert isinstance(warm, Ask)
    assert (warm.temperature, warm.replicate) == (0.5, AGAIN_REPLICATE)
    endpoint = CountingModel("t", deterministic=False)
    view = ArmView.of("teacher_again", endpoint, again=True)
    assert view.resolve(greedy).replicate == AGAIN_REPLICATE
    assert view.resolve(weighing).replicate == AGAIN_REPLICATE


def test_a_probe_that_raises_or_scores_nan_is_an_error(tmp_path: Path) -> None:
    class Raises(TwoTurns):
        name = "raises"

        def converse(self, item: Item):  # type: ignore[no-untyped-def]
            yield Ask(messages=item.messages)
            raise ZeroDivisionError

    class Nan(TwoTurns):
        name = "nan"

        def converse(self, item: Item):  # type: ignore[no-untyped-def]
            yield Ask(messages=item.messages)
            return {"length": float("nan")}

    models = {"teacher": CountingModel("t")}
    with Journal(tmp_path / "r.jsonl") as journal:
        views = collect(journal, models, "teacher", [(Raises(), 3), (Nan(), 3)])
        assert outcomes(journal, views, "teacher", Raises(), 1)[0].error == (
            "probe raised ZeroDivisionError"
        )
        assert outcomes(journal, views, "teacher", Nan(), 1)[0].error == "score length is nan"


def test_replay_says_what_was_never_asked(tmp_path: Path) -> None:
    views = {"teacher": ArmView.of("teacher", CountingModel("t"))}
    with Journal(tmp_path / "r.jsonl") as journal:
        item = next(TwoTurns().items(0))
        assert replay(TwoTurns(), item, "teacher", views, journal).error == NOT_ASKED


def test_uses_count_each_reply_once_and_digest_ignores_order(tmp_path: Path) -> None:
    models = {"teacher": CountingModel("t"), "student": CountingModel("s")}
    with Journal(tmp_path / "r.jsonl") as journal:
        for role in models:
            views = collect(journal, models, role, [(Everything(), 20)])
        items = list(islice(Everything().items(0), 20))
        forth, back = Uses(), Uses()
        for uses, order in ((forth, items), (back, items[::-1])):
            for item in order:
                for role in ("student", "teacher"):
                    replay(Everything(), item, role, views, journal, uses=uses)
    assert forth.digest() == back.digest()
    # Asked of the teacher for the student too, but paid once: 20 × (ask + 3 samples + weigh).
    assert forth.of("teacher").replies == 100
    assert forth.of("teacher").completion_tokens == 80 * 5
