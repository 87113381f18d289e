"""Every packaged probe is broken in turn, and the self-test sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.selftest.breaking import WrongKey, constant, generous, swapped, turned_round
from ullage.config.models import Planning
from ullage.probes.protocol import Probe
from ullage.probes.registry import PACKAGED, get_probe
from ullage.selftest.plants import PLANTS
from ullage.selftest.report import ProbeResult
from ullage.selftest.trials import Settings, try_probe

FEW = Settings(audits=4, matrix_audits=1, seed=1, planning=Planning(items=150), pilot=250)

MANY_COLUMNS = [name for name, probe in PACKAGED.items() if len(probe.metrics) > 1]
KEYED = [
    name
    for name in PACKAGED
    # The others judge what is done (ask, abstain, change a list), not what is answered.
    if name not in ("abstention", "clarification", "endings")
    # They weigh texts, whatever stands in them.
    and name not in ("teacher-text", "next-tokens", "text-bits")
    and name not in ("grounding-missing", "grounding-contradictory", "group-swaps")
    and name not in ("refusal-pairs", "refusal-list", "jailbreak")
    and name not in ("membership", "membership-loss", "membership-tokens")
    and name not in ("varied-text", "list-edits", "steering")
    # There is no right answer.
    and name not in ("trait-transfer", "trait-transfer-text")
]


def failing(result: ProbeResult) -> list[str]:
    return [metric.metric for metric in result.metrics if not metric.passed]


@pytest.mark.parametrize("breakage", [constant, turned_round])
@pytest.mark.parametrize("name", PACKAGED)
def test_a_constant_and_a_metric_turned_round_fail_everywhere(
    name: str, breakage: Callable[[Probe], Probe]
) -> None:
    result = try_probe(breakage(get_probe(name)), FEW)
    assert failing(result) == [metric.name for metric in PACKAGED[name].metrics]
    # It is seen in the scores, before any audit.
    assert all(not metric.trials for metric in result.metrics)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_scorer_that_accepts_too_much_fails(name: str) -> None:
    assert failing(try_probe(generous(get_probe(name)), FEW))


@pytest.mark.parametrize("name", MANY_COLUMNS)
def test_columns_in_each_others_place_fail(name: str) -> None:
    assert failing(try_probe(swapped(get_probe(name)), FEW))


@pytest.mark.parametrize("name", KEYED)
def test_a_wrong_answer_key_fails(name: str) -> None:
    assert failing(try_probe(WrongKey(get_probe(name)), FEW))


def test_every_packaged_metric_has_a_declared_truth() -> None:
    declared = {(name, metric.name) for name, p in PACKAGED.items() for metric in p.metrics}
    assert set(PLANTS) == declared
