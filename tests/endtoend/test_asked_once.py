"""What an audit asks a model, counted at the model: nothing twice, across probes and arms."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.collect.fakes import CountingModel
from ullage.audit import ROLES, Setup, collect, plan_audit, set_up
from ullage.collect.journal import Journal
from ullage.config import load
from ullage.models.types import Answer, Ask, Reply, Request, Weigh, Weights
from ullage.probes.base import PackagedProbe
from ullage.probes.registry import PACKAGED

ITEMS = 30
CONFIG = f"""
name: once
scenario: every.yaml
arms:
  teacher: {{model: "simulated:t"}}
  student: {{model: "simulated:s"}}
  base: {{model: "simulated:b"}}
planning: {{items: {ITEMS}, min_items: 1}}
"""


@dataclass
class Counting(CountingModel):
    """Answers anything, and keeps every request."""

    requests: list[Request] = field(default_factory=list)

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        self.requests += requests
        async for pair in super().answer(requests):
            yield pair

    def _make(self, request: Request) -> Answer:
        if isinstance(request, Weigh):
            count = len(request.continuations)
            standings = ((0.0,),) * count if request.standing else ()
            return Weights(logprobs=(-1.0,) * count, tokens=(1,) * count, standings=standings)
        assert isinstance(request, Ask)
        return Reply(text=f"{self.name} replies {request.replicate}.")


def made(folder: Path, targets: Sequence[tuple[str, str]], more: str = "") -> Setup:
    lines = [
        f"  - {{probe: {probe}, metric: {metric}, margin: 0.1, reason: For this test alone.}}"
        for probe, metric in targets
    ]
    scenario = ["name: every", "title: Every", "use: Whatever.", "targets:", *lines]
    (folder / "every.yaml").write_text("\n".join(scenario) + "\n")
    (folder / "ullage.yaml").write_text(CONFIG + more)
    return set_up(load(folder / "ullage.yaml"))


def asked(setup: Setup, *, names: str = "tsb", deterministic: bool = True) -> dict[str, Counting]:
    """Collect as an audit does, from models that count; `names` tells which arms are one model."""
    made = {name: Counting(name, deterministic=deterministic) for name in names}
    roles = dict(zip(("teacher", "student", "base"), names, strict=True))
    arms = {role: made[name] for role, name in roles.items()}
    arms["teacher_again"] = arms["teacher"]
    models = {role: arms[role] for role in ROLES if role in arms}
    plan = plan_audit(setup, models)
    with setup.folder.locked(), Journal(setup.folder.replies) as journal:
        asyncio.run(collect(setup, plan, models, journal))
    return made


def alone() -> list[tuple[str, str]]:
    """A target on every probe that asks with no data of the user's."""
    return [
        (name, probe.metrics[0].name)
        for name, probe in PACKAGED.items()
        if issubclass(probe, PackagedProbe) and not probe.needs_items
    ]


def test_no_arm_is_asked_anything_twice(tmp_path: Path) -> None:
    for name, model in asked(made(tmp_path, alone())).items():
        assert model.asked, name
        assert max(Counter(model.asked).values()) == 1, name


def test_no_prompt_is_put_again_only_to_be_cut_off_elsewhere(tmp_path: Path) -> None:
    """One greedy reply would have done for two requests that differ in length alone."""
    for name, model in asked(made(tmp_path, alone())).items():
        forms = defaultdict(set)
        for request in model.requests:
            if isinstance(request, Ask) and request.temperature == 0.0:
                forms[request.messages].add(request)
        assert [sent for sent in forms.values() if len(sent) > 1] == [], name


def test_choice_probes_weigh_the_same_questions_once(tmp_path: Path) -> None:
    both = [("confidence", "overconfidence"), ("likelihood-gap", "gap")]
    student = asked(made(tmp_path, both))["s"]
    kinds = Counter(type(request) for request in student.requests)
    assert kinds == {Weigh: ITEMS, Ask: ITEMS}
    assert len({request.messages for request in student.requests}) == ITEMS


def test_one_file_for_several_probes_is_asked_once(tmp_path: Path) -> None:
    rows = [
        f'{{"prompt": "Is {i} odd, even or neither?", "choices": ["odd", "even", "neither"], '
        f'"reference": "{"odd" if i % 2 else "even"}"}}'
        for i in range(ITEMS)
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(rows) + "\n")
    probes = ("confidence", "likelihood-gap", "vote-confidence", "agreement")
    own = "items: {" + ", ".join(f"{name}: own.jsonl" for name in probes) + "}\n"
    setup = made(tmp_path, [(name, PACKAGED[name].metrics[0].name) for name in probes], own)
    student = asked(setup)["s"]
    greedy = [r for r in student.requests if isinstance(r, Ask) and r.temperature == 0.0]
    weighed = [r for r in student.requests if isinstance(r, Weigh)]
    sampled = len(student.requests) - len(greedy) - len(weighed)
    assert (len(greedy), len(weighed), sampled) == (ITEMS, ITEMS, 5 * ITEMS)


def test_two_arms_that_are_one_model_are_asked_once(tmp_path: Path) -> None:
    targets = [("abstention", "contrast")]
    apart = asked(made(tmp_path, targets))
    (tmp_path / "again").mkdir()
    together = asked(made(tmp_path / "again", targets), names="tss")
    assert len(together["s"].requests) == len(apart["s"].requests) == 2 * ITEMS


def test_only_a_teacher_that_varies_is_asked_again(tmp_path: Path) -> None:
    targets = [("abstention", "contrast")]
    once = asked(made(tmp_path, targets))["t"]
    (tmp_path / "again").mkdir()
    twice = asked(made(tmp_path / "again", targets), deterministic=False)["t"]
    assert len(twice.requests) == 2 * len(once.requests)
    assert max(Counter(twice.asked).values()) == 1
