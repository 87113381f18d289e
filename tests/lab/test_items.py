"""The laboratory's item files: read by every probe, answered by a solver, balanced and held out."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab import clerk
from tests.probes.conversing import converse
from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.config.models import Behaviour, Rule, SimulatedOptions, Task
from ullage.lab.items import HEADLINE, ITEMS_OF, entries, write_items
from ullage.lab.world.capabilities.chance import north_share
from ullage.lab.world.exchange import Split
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import ITEMS
from ullage.models.simulated import SimulatedModel
from ullage.models.types import Ask, Reply, Sample, Weigh
from ullage.probes.protocol import Item, Probe
from ullage.probes.registry import PACKAGED
from ullage.probes.tasks import TaskProbe, with_items
from ullage.statement.document import Verdict

SEED, SIZE = 3, 240

FULL: dict[str, dict[str, float]] = {
    "agreement": {"agreement": 1, "flips": 0, "lost-answers": 0, "accuracy": 1},
    "likelihood-gap": {"generated": 1, "weighed": 1, "gap": 0},
    "confidence": {"accuracy": 1, "overconfidence": 0, "brier": 0, "nll": 0},
    "vote-confidence": {"accuracy": 1, "brier": 0, "entropy": 0, "overconfidence": 0},
    "semantic-entropy": {"accuracy": 1, "entropy": 0, "confidence": 1},
    "abstention": {"contrast": 1, "abstains": 1, "answers": 1},
    "clarification": {"contrast": 1, "asks": 1, "recovers": 1},
    "formats": {"accuracy": 1, "spread": 0},
    "invariance": {"consistent": 1, "accuracy": 1},
    **{name: {"grounded": 1, "unsupported": 0} for name in ITEMS_OF if name.startswith("ground")},
}
"""What full marks are; a probe that is not here has none."""

NONE: dict[str, tuple[str, ...]] = {
    "agreement": ("accuracy", "agreement"),
    "likelihood-gap": ("generated",),
    "vote-confidence": ("accuracy",),
    "semantic-entropy": ("accuracy",),
    "abstention": ("abstains", "answers"),
    "clarification": ("contrast", "asks", "recovers"),
    "formats": ("accuracy",),
    "invariance": ("accuracy",),
    **{name: ("grounded",) for name in ITEMS_OF if name.startswith("ground")},
}
"""Metrics that are 0 for whoever always says the wrong answer."""


NOT_IN_THE_WORLD = {
    *("process", "stability", "privacy", "safety", "diversity"),
    *("capacity", "agency", "inheritance"),
}
"""Dimensions that the little world has no words for; their probes bring generated items."""
NO_WORDS_FOR = {"verbal-confidence"}
"""Probes of other dimensions that it has none for."""

PLAIN_DESKS = {
    *("odd-writing", "empty-input", "long-input", "other-languages"),
    *("grounding-conflict", "grounding-position", "grounding-claims"),
}
"""Probes of its other dimensions that want longer, stranger or more texts than a desk is."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_items(tmp_path_factory.mktemp("items"), SEED, SIZE)


@pytest.fixture(scope="module")
def probes(files: dict[str, Path]) -> dict[str, Probe]:
    return {name: with_items(PACKAGED[name](), path) for name, path in files.items()}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def exact(items: list[Item]) -> list[Item]:
    """Items with one right answer; a warehouse has odds."""
    return [item for item in items if "north" not in item.choices]


def test_every_probe_of_the_world_is_fed(probes: dict[str, Probe]) -> None:
    assert (
        set(probes)
        == {name for name, probe in PACKAGED.items() if probe.dimension not in NOT_IN_THE_WORLD}
        - NO_WORDS_FOR
        - PLAIN_DESKS
    )
    for probe in probes.values():
        assert len({item.id for item in probe.items(0)}) == probe.size == SIZE


def test_the_first_lines_do_not_hang_on_how_many_follow(
    files: dict[str, Path], tmp_path: Path
) -> None:
    fewer = write_items(tmp_path, SEED, 40)
    for name, path in files.items():
        assert lines(fewer[name]) == lines(path)[:40]
        other = [entry.line for entry in islice(entries(name, SEED + 1), 40)]
        assert not [line for line in lines(path) if line in other]


@pytest.mark.parametrize("name", list(ITEMS_OF))
def test_families_are_balanced_in_every_prefix(files: dict[str, Path], name: str) -> None:
    """Within each source of a mix; a family comes again when every other has come as often."""
    seen: dict[str, Counter[str]] = {}
    sizes = {"missing": 216, "formats": 540, "memory": 576, "warehouse": 576, "sharded": 144}
    sizes["privacy"] = 72
    for line in lines(files[name]):
        source = re.split(r"[-/]", line["family"])[0]
        counts = seen.setdefault(source, Counter())
        before = counts[line["family"]]
        counts[line["family"]] += 1
        universe = sizes.get(source, 108)
        assert before == (sum(counts.values()) - 1) // universe


@pytest.mark.parametrize("name", list(ITEMS_OF))
def test_questions_are_put_as_the_teacher_learnt_them(probes: dict[str, Probe], name: str) -> None:
    """One user turn: the desk, a blank line, a question in a wording kept for audits."""
    for item in probes[name].items(0):
        (message,) = item.messages
        assert message.role == "user"
        context, _, question = message.content.rpartition("\n\n")
        assert bool(context) != bool(re.search(r":(memory|warehouse)", item.family))
        opener, phrase, closer = map(int, item.family[-3:])
        assert Wording(opener, phrase, closer).split is Split.AUDIT
        assert question == question.strip()
        assert Wording(opener, phrase, closer).say("x").split("x")[0].strip() in question


def test_the_headline_holds_nothing_that_is_not_answered(files: dict[str, Path]) -> None:
    told = lines(files["agreement"])
    assert len({line["prompt"] for line in told}) == SIZE
    kinds = Counter(re.split(r"/", line["family"])[0].split("-")[0] for line in told)
    assert set(kinds) == {part.split("-")[0] for part in HEADLINE}
    assert max(kinds.values()) - min(kinds.values()) <= 1
    for line in told:
        reply = line["reference"]
        assert not reply.startswith(("which one", "i do not", "i can not", "the orders", "go on"))


def _solves(request: Ask, _: Item) -> str:
    return clerk.reply(request.messages)


@pytest.mark.parametrize("name", list(FULL))
def test_whoever_solves_the_text_gets_full_marks(probes: dict[str, Probe], name: str) -> None:
    for item in exact(list(islice(probes[name].items(0), 150))):
        scores = converse(probes[name], item, _solves, clerk.weigh, teacher=_solves)
        found = {metric: scores[metric] for metric in FULL[name]}
        assert found == pytest.approx(FULL[name], abs=1e-9), item


@pytest.mark.parametrize("name", list(NONE))
def test_whoever_says_the_wrong_thing_gets_none(probes: dict[str, Probe], name: str) -> None:
    def says(request: Ask, item: Item) -> str:
        return request.subject.wrong or item.wrong or "purple"

    for item in exact(list(islice(probes[name].items(0), 150))):
        scores = converse(
            probes[name], item, says, teacher=lambda ask, _: clerk.reply(ask.messages)
        )
        assert {metric: scores[metric] for metric in NONE[name]} == dict.fromkeys(NONE[name], 0.0)


def test_wrong_replies_are_named_for_nearly_every_item(probes: dict[str, Probe]) -> None:
    for name, probe in probes.items():
        if name not in ("teacher-text", "next-tokens", "text-bits"):
            wrong = [bool(item.wrong) for item in probe.items(0)]
            assert sum(wrong) / len(wrong) > 0.9, name


def test_no_option_begins_another(files: dict[str, Path]) -> None:
    for name in ("likelihood-gap", "confidence", "vote-confidence", "invariance"):
        for line in lines(files[name]):
            options = line["choices"]
            assert len(options) == (2 if "north" in options else 4)
            assert line["reference"] in options
            for one in options:
                assert [other for other in options if other.startswith(one)] == [one]


def test_references_of_warehouses_are_drawn_with_the_true_odds() -> None:
    asked = [
        entry.line
        for entry in islice(entries("confidence", SEED), 4608)
        if "north" in entry.line["choices"]
    ]
    items = [re.split(r"[-/]", line["family"])[1] for line in asked]
    shares = np.array([north_share(item) for item in items])
    drawn = np.array([line["reference"] == "north" for line in asked])
    assert set(Counter(items).values()) == {96}
    for odds in sorted(set(np.round(shares, 6))):
        group = np.isclose(shares, odds)
        error = np.sqrt(odds * (1 - odds) / group.sum())
        assert abs(drawn[group].mean() - odds) < 4 * error
    assert set(items) == set(ITEMS)


def test_the_true_odds_are_calibrated_and_shifted_ones_are_not(probes: dict[str, Probe]) -> None:
    """What the confidence probe makes of a model that knows the odds, and of a surer one."""
    items = [item for item in probes["confidence"].items(0) if "north" in item.choices]

    def surer(request: Weigh) -> Any:
        weights = clerk.weigh(request)
        return type(weights)(
            logprobs=tuple(4 * logprob for logprob in weights.logprobs), tokens=weights.tokens
        )

    probe = probes["confidence"]
    honest, brash = (
        [converse(probe, item, lambda ask, _: "", weigh) for item in items]
        for weigh in (clerk.weigh, surer)
    )
    gaps = np.array([scores["overconfidence"] for scores in honest])
    assert abs(gaps.mean()) < 3 * gaps.std() / np.sqrt(len(gaps))
    assert np.mean([scores["overconfidence"] for scores in brash]) > 0.1
    assert np.mean([s["nll"] for s in brash]) > np.mean([s["nll"] for s in honest])


@pytest.mark.parametrize("name", list(FULL))
def test_simulated_arms_read_them(probes: dict[str, Probe], name: str) -> None:
    """Declared ability comes back as declared: all of it, or none."""
    quiet = {"over_abstain": 0.0, "over_clarify": 0.0, "over_refuse": 0.0, "noise": 0.0}
    able, unable = (
        SimulatedModel("s", SimulatedOptions(default=Behaviour(**quiet, **rates)))
        for rates in (
            {"accuracy": 1.0, "abstain": 1.0, "clarify": 1.0},
            {"accuracy": 0.0, "abstain": 0.0, "clarify": 0.0},
        )
    )
    for item in exact(list(probes[name].items(0)))[:60]:
        scores = _asked(probes[name], item, able)
        sure = {key: scores[key] for key in FULL[name] if key not in ("brier", "nll")}
        assert sure == pytest.approx({key: FULL[name][key] for key in sure}, abs=0.01)
        scores = _asked(probes[name], item, unable)
        assert all(scores[key] == 0.0 for key in NONE.get(name, ("accuracy",)) if key != "answers")


def _asked(probe: Probe, item: Item, model: SimulatedModel) -> Mapping[str, float]:
    conversation = probe.converse(item)
    request = next(conversation)
    while True:
        try:
            if isinstance(request, Sample):
                replies = [model.respond(ask) for ask in request.asks()]
                request = conversation.send(tuple(r for r in replies if isinstance(r, Reply)))
            elif isinstance(request, Ask) and request.of == "teacher":
                request = conversation.send(Reply(text=request.subject.answer))
            else:
                request = conversation.send(model.respond(request))  # type: ignore[arg-type]
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def test_the_headline_can_also_be_a_task(files: dict[str, Path]) -> None:
    task = Task(name="desk", file="desk.jsonl", rule=Rule(kind="exact"))
    probe = TaskProbe(task, files["agreement"])
    for item in islice(probe.items(0), 60):
        scores = converse(probe, item, _solves)
        assert scores == {"score": 1.0}


def test_an_ordinary_audit_takes_them(files: dict[str, Path], tmp_path: Path) -> None:
    """The standard audit, fed from the world: what is planted is lost, the headline is kept."""
    named = "\n".join(f"  {name}: {path}" for name, path in files.items())
    (tmp_path / "ullage.yaml").write_text(
        "name: desk\nscenario: support-assistant\nplanning: {items: 216}\n"
        'arms:\n  teacher: {model: "simulated:t", simulated: {default: {accuracy: 0.97}}}\n'
        '  student: {model: "simulated:s", simulated: {default: {accuracy: 0.97, clarify: 0.2}}}\n'
        f"items:\n{named}\n"
    )
    statement = asyncio.run(run_audit(set_up(load(tmp_path / "ullage.yaml"))))
    found = {finding.id: finding.verdict for finding in statement.findings}
    assert found["clarification.contrast"] is Verdict.LOST
    assert found["agreement.accuracy"] is Verdict.PRESERVED
