"""Organisms: what each is made without, made by the ordinary distillation, once and resumed."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from tests.lab.tiny import tiny_making
from ullage.audit import set_up
from ullage.config import load
from ullage.config.models import Distill
from ullage.distill.result import Progress, Stopped
from ullage.errors import InputError
from ullage.lab.corpus import CorpusRecipe
from ullage.lab.further import TARGETS
from ullage.lab.organisms.build import CONFIG, SCENARIO, SETTINGS, Making, build, prepare
from ullage.lab.organisms.organism import Organism
from ullage.lab.organisms.registry import ORGANISMS, find_organism
from ullage.probes.protocol import Dimension
from ullage.probes.registry import get_probe

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def making(tmp_path_factory: pytest.TempPathFactory) -> Making:
    return tiny_making(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ullage" / "organisms"


@pytest.mark.parametrize("organism", ORGANISMS.values(), ids=lambda organism: organism.name)
def test_what_it_loses_is_a_target_of_its_dimension(organism: Organism) -> None:
    assert ORGANISMS[organism.name] is organism
    assert organism.cause.endswith(".")
    targets = {
        f"{target['probe']}.{target['metric']}"
        for file in (SCENARIO, *([TARGETS] if organism.further else []))
        for target in yaml.safe_load(file.read_text("utf-8"))["targets"]
    }
    if organism.loses is not None:
        assert organism.loses in targets
        probe = get_probe(organism.loses.partition(".")[0])
        assert Dimension(organism.dimension or "") is probe.dimension
    if organism.derived_from is None:
        Distill.model_validate({**SETTINGS, **organism.distill})


def test_each_has_one_cause() -> None:
    """Against the clean one of its course, either the corpus or one way of learning differs."""
    for organism in ORGANISMS.values():
        clean = ORGANISMS["clean-longer" if organism.further else "clean"]
        if organism.distill != clean.distill:
            continue
        differs = [
            one.name
            for one in fields(CorpusRecipe)
            if getattr(organism.corpus, one.name) != getattr(clean.corpus, one.name)
        ]
        changed = len(differs) + bool(organism.quantise)
        assert changed == (organism is not clean), (organism.name, differs)


def test_the_longer_course_is_audited_further(making: Making) -> None:
    made = load(prepare(ORGANISMS["clean-longer"], making=making) / CONFIG)
    shorter = load(prepare(ORGANISMS["clean"], making=making) / CONFIG)
    more = {target.probe for target in made.config.targets}
    assert more == set(made.config.items) - set(shorter.config.items)
    assert {probe.dimension for name, probe in set_up(made).probes.items() if name in more} == {
        Dimension.SAFETY, Dimension.STABILITY, Dimension.DIVERSITY,
        Dimension.CAPACITY,
    }  # fmt: skip
    assert not shorter.config.targets


def test_it_is_made_by_distill_and_found_again(making: Making, cache: Path) -> None:
    steps: list[Progress] = []
    made = build(ORGANISMS["no-clarifying"], making=making, progress=steps.append)
    assert made.parent == cache
    assert {step.stage for step in steps} >= {"base", "train", "measure"}
    ledger = json.loads((made / "student" / "distillation.json").read_bytes())
    assert ledger["corpus"]["rows"] == 60
    assert ledger["corpus"]["dropped"] == {}
    assert ledger["corpus"]["audit_items_compared"] > 0
    assert "which one" not in (made / "corpus.jsonl").read_text()
    assert build(ORGANISMS["no-clarifying"], making=making) == made
    loaded = load(made / CONFIG)
    assert loaded.scenario.name == "lab-desk"
    assert set_up(loaded).folder.path == made / "runs" / "no-clarifying"


def test_another_recipe_has_another_folder(making: Making, cache: Path) -> None:
    one = prepare(ORGANISMS["clean"], making=making)
    assert prepare(ORGANISMS["clean"], making=making) == one
    spelt_out = {**making.settings, "packing": Distill.model_fields["packing"].default}
    assert prepare(ORGANISMS["clean"], making=replace(making, settings=spelt_out)) == one, (
        "what is left to a default is part of the recipe"
    )
    others = {
        prepare(ORGANISMS["clean"], making=replace(making, seed=1)),
        prepare(ORGANISMS["clean"], making=replace(making, settings={"max_steps": 4})),
        prepare(ORGANISMS["clean"], making=replace(making, base=making.teacher)),
        prepare(ORGANISMS["no-abstaining"], making=making),
    }
    assert len({one} | others) == 5
    assert not list(cache.glob(".*"))


def test_it_goes_on_where_it_was_stopped(making: Making, tmp_path: Path) -> None:
    def stop(step: Progress) -> None:
        if step.stage == "train" and step.done == 2:
            raise KeyboardInterrupt

    saving = replace(making, settings={**making.settings, "save_steps": 1})
    with pytest.raises(Stopped):
        build(ORGANISMS["clean"], tmp_path / "clean", making=saving, progress=stop)
    build(ORGANISMS["clean"], tmp_path / "clean", making=saving)
    ledger = json.loads((tmp_path / "clean" / "student" / "distillation.json").read_bytes())
    assert ledger["timing"]["resumed_from_step"] > 0
    with pytest.raises(InputError, match="holds a student of recipe"):
        build(ORGANISMS["no-clarifying"], tmp_path / "clean", making=saving)
    build(ORGANISMS["no-clarifying"], tmp_path / "clean", making=saving, fresh=True)


def test_a_quantised_one_has_the_weights_of_its_source(making: Making, tmp_path: Path) -> None:
    made = build(ORGANISMS["clean-int4"], making=making)
    student = load(made / CONFIG).config.arms.student
    assert student.hf.quantise == "rounded-int4"
    source = Path(student.locator)
    assert source.is_dir()
    assert source.parent == build(ORGANISMS["clean"], making=making)


def test_a_missing_model_and_an_unknown_name_are_said(making: Making, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model is there"):
        prepare(ORGANISMS["clean"], making=replace(making, base=tmp_path / "none"))
    with pytest.raises(InputError, match="did you mean 'clean'"):
        find_organism("claen")
