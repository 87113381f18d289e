"""The packaged scenarios, the file `init` writes, and the schemas editors use."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from ullage.config import load
from ullage.config.base import DIMENSIONS
from ullage.config.models import Severity
from ullage.config.scenario import names, packaged
from ullage.config.schema import config_schema, scenario_schema
from ullage.config.template import init_text
from ullage.errors import InputError
from ullage.probes.protocol import Dimension, Probe
from ullage.probes.registry import PACKAGED, all_probes, get_probe

EXPECTED = {
    "all-dimensions",
    "clinical-triage",
    "coding-assistant",
    "math-tutor",
    "moderation",
    "rag-answers",
    "support-assistant",
    "tool-agent",
}


def test_they_are_all_there() -> None:
    assert set(names()) == EXPECTED


@pytest.mark.parametrize("name", names())
def test_a_scenario_is_complete(name: str) -> None:
    scenario = packaged(name)
    assert scenario.name == name
    assert scenario.not_for
    assert 8 <= len(scenario.targets) <= (24 if name == "all-dimensions" else 14)
    assert {target.severity for target in scenario.targets} == set(Severity)
    assert sum(target.headline for target in scenario.targets) == 1
    reasons = [target.reason for target in scenario.targets]
    assert len(set(reasons)) == len(reasons)
    assert all(reason.endswith(".") and len(reason) > 60 for reason in reasons)


@pytest.mark.parametrize("name", names())
def test_every_target_can_be_measured(name: str) -> None:
    probes = all_probes()
    for target in packaged(name).targets:
        metric = probes[target.probe].metric(target.metric)
        low, high = metric.bounds
        assert target.margin < high - low, target.id


def test_scenarios_differ() -> None:
    sets = [
        frozenset((target.id, target.margin, target.severity) for target in packaged(name).targets)
        for name in names()
    ]
    for one in sets:
        for other in sets:
            assert one is other or len(one & other) <= len(one) / 2


def test_one_scenario_looks_at_every_dimension_with_no_data_of_ones_own() -> None:
    """A dimension that gets its first probe gets a target in `all-dimensions.yaml` with it."""

    def asks_alone(probe: Probe) -> bool:
        return not getattr(probe, "needs_items", "")

    probes = {name: get_probe(name) for name in PACKAGED}
    targets = [probes[target.probe] for target in packaged("all-dimensions").targets]
    assert all(asks_alone(probe) for probe in targets)
    can = {probe.dimension for probe in probes.values() if asks_alone(probe)}
    assert {probe.dimension for probe in targets} == can


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="no scenario 'math-tutr'; did you mean 'math-tutor'"):
        packaged("math-tutr")


@pytest.mark.parametrize("name", [None, *names()])
def test_what_init_writes_loads(tmp_path: Path, name: str | None) -> None:
    path = tmp_path / "ullage.yaml"
    path.write_text(init_text(name))
    loaded = load(path)
    assert loaded.scenario == packaged(name or "support-assistant")
    assert max(map(len, init_text(name).splitlines())) <= 100


def test_what_init_comments_out_loads_too(tmp_path: Path) -> None:
    lines = init_text("moderation").splitlines()
    for start in ("# targets:", "# tasks:", "# distill:", "  # base:", "  # derived:"):
        at = lines.index(start)
        while at < len(lines) and lines[at].lstrip().startswith("# "):
            lines[at] = lines[at].replace("# ", "", 1)
            at += 1
    path = tmp_path / "ullage.yaml"
    path.write_text("\n".join(lines))
    config = load(path).config
    assert config.targets
    assert config.tasks
    assert config.distill is not None
    assert config.arms.base is not None
    assert config.arms.derived is not None


def test_init_refuses_an_unknown_scenario() -> None:
    with pytest.raises(InputError, match="did you mean 'moderation'"):
        init_text("moderaton")


def test_the_schemas_hold_what_loads() -> None:
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(init_text()), schema)
    scenario = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(scenario)
    for name in names():
        jsonschema.validate(packaged(name).model_dump(mode="json"), scenario)


@pytest.mark.parametrize(
    "change",
    [{"nmae": "x"}, {"seed": -1}, {"arms": {}}, {"targets": [{"probe": "a"}]}, {"name": "A B"}],
)
def test_the_schema_refuses_what_does_not_load(change: dict[str, object]) -> None:
    data = yaml.safe_load(init_text()) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, config_schema())


def test_the_schema_describes_every_key() -> None:
    target = config_schema()["$defs"]["Target"]
    assert target["properties"]["margin"]["description"].startswith("δ")
    assert "written down" in target["description"]


def test_dimensions_are_those_of_the_probes() -> None:
    assert tuple(Dimension) == DIMENSIONS
