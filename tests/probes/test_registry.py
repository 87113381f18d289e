"""Probes by name: packaged, of other packages, and the user's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ullage.config.models import Arm, Arms, Config, Target, Task
from ullage.errors import InputError
from ullage.probes import registry
from ullage.probes.protocol import Probe
from ullage.probes.tasks import OwnItems, TaskProbe

PROBE = """
from ullage.probes.protocol import Dimension, Item, Metric, Probe
from ullage.models.types import user

class Greets(Probe):
    name = "greets"
    dimension = Dimension.AGENCY
    metrics = (Metric(name="greets", summary="It greets less often."),)

    def items(self, seed):
        yield Item(id="greets/0", family="greets:a", messages=(user("Hi"),))

    def converse(self, item):
        return {"greets": 1.0}
        yield

class Misnamed(Greets):
    name = "something-else"

instance = Greets()
no_probe = 3
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, as pip would leave it: a module and its dist-info."""
    (tmp_path / "greetings_probe.py").write_text(PROBE)
    info = tmp_path / "greetings-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield info
    sys.modules.pop("greetings_probe", None)


def offer(info: Path, *lines: str) -> None:
    (info / "entry_points.txt").write_text("[ullage.probes]\n" + "\n".join(lines) + "\n")


def config(*targets: tuple[str, str], **parts: object) -> Config:
    return Config(
        scenario="mine.yaml",
        arms=Arms(teacher=Arm(model="simulated:t"), student=Arm(model="simulated:s")),
        targets=tuple(
            Target(probe=probe, metric=metric, margin=0.05, reason="because it matters")
            for probe, metric in targets
        ),
        **parts,  # type: ignore[arg-type]
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A configuration's folder with a scenario of one target."""
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ntitle: T\nuse: U\ntargets:\n"
        "  - {probe: abstention, metric: contrast, margin: 0.1, reason: because it matters}\n"
    )
    return tmp_path


def test_the_packaged_probes_are_there() -> None:
    assert set(registry.names()) >= {
        "agreement", "likelihood-gap", "teacher-text", "confidence", "vote-confidence",
        "abstention", "clarification", "formats", "invariance", "grounding-present",
        "grounding-missing", "grounding-counterfactual", "grounding-contradictory",
        "grounding-irrelevant",
    }  # fmt: skip
    for name, probe in registry.all_probes().items():
        assert probe.name == name
        assert registry.get_probe(name).metrics == probe.metrics


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(InputError, match="no probe 'abstension'; did you mean 'abstention'"):
        registry.get_probe("abstension")


@pytest.mark.parametrize("target", ["Greets", "instance"])
def test_a_probe_of_another_package_appears(installed: Path, target: str) -> None:
    offer(installed, f"greets = greetings_probe:{target}")
    assert "greets" in registry.names()
    assert "greetings_probe" not in sys.modules, "names are known without an import"
    probe = registry.get_probe("greets")
    assert isinstance(probe, Probe)
    assert registry.all_probes()["greets"].metrics == probe.metrics
    assert registry.broken_probes() == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("greets = greetings_probe:Absent", "AttributeError"),
        ("greets = no_such_module:Greets", "ModuleNotFoundError"),
        ("greets = greetings_probe:no_probe", "is no Probe but a int"),
        ("greets = greetings_probe:Misnamed", "calls itself 'something-else'"),
    ],
)
def test_a_broken_probe_is_named_in_one_line(installed: Path, line: str, said: str) -> None:
    offer(installed, line)
    with pytest.raises(InputError) as refused:
        registry.get_probe("greets")
    message = str(refused.value)
    assert "probe 'greets' of greetings" in message
    assert said in message
    assert "\n" not in message
    assert "greets" not in registry.all_probes()
    assert registry.broken_probes() == {"greets": message}
    assert "abstention" in registry.all_probes()


def test_a_packaged_name_is_not_taken_over(installed: Path) -> None:
    offer(installed, "abstention = greetings_probe:Greets")
    assert registry.get_probe("abstention").dimension == "boundary"
    assert "taken" in registry.broken_probes()["abstention"]


def test_resolving_gives_what_the_targets_name(root: Path) -> None:
    (root / "own.jsonl").write_text('{"prompt": "2+2?", "reference": "4"}\n')
    (root / "agree.jsonl").write_text('{"prompt": "2+2?", "reference": "4"}\n')
    probes = registry.resolve(
        config(
            ("agreement", "flips"),
            ("mine", "score"),
            tasks=(Task(name="mine", file="own.jsonl"),),
            items={"agreement": "agree.jsonl"},
        ),
        root,
    )
    assert list(probes) == ["abstention", "agreement", "mine"]
    assert isinstance(probes["mine"], TaskProbe)
    assert isinstance(probes["agreement"], OwnItems)
    assert probes["abstention"].source == "generated"


@pytest.mark.parametrize(
    ("targets", "parts", "said"),
    [
        ([("agrement", "flips")], {}, "did you mean 'agreement'"),
        ([("agreement", "flip")], {}, "no metric 'flip'; did you mean 'flips'"),
        ([("mine", "score")], {}, "no probe or task 'mine'"),
        ([], {"items": {"abstention-x": "x.jsonl"}}, "did you mean 'abstention'"),
        ([], {"items": {"abstention": "absent.jsonl"}}, "No such file"),
        (
            [("mine", "score")],
            {"tasks": (Task(name="mine", file="absent.jsonl"),)},
            "No such file",
        ),
        ([], {"tasks": (Task(name="agreement", file="x"),)}, "rename the task"),
    ],
)
def test_what_cannot_be_resolved_is_said_in_one_line(
    root: Path, targets: list[tuple[str, str]], parts: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        registry.resolve(config(*targets, **parts), root)
    assert said in str(refused.value)
