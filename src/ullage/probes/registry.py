"""Every probe by name: the packaged ones, those of installed packages, and the user's tasks.

A package offers a probe by an entry point in the group ``ullage.probes``: its name, and a `Probe`
class without constructor arguments, or an instance.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ullage.config.loader import with_targets
from ullage.config.models import Config, Target
from ullage.config.problems import did_you_mean
from ullage.config.scenario import load_scenario
from ullage.errors import InputError
from ullage.probes.agency import Correction, ListEdits, NovelRule, SoftInstructions, Steering
from ullage.probes.base import PackagedProbe
from ullage.probes.boundary import (
    Abstention,
    Clarification,
    EmptyInput,
    Formats,
    Invariance,
    LongInput,
    OddWriting,
    OtherLanguages,
)
from ullage.probes.capacity import CorpusDistance, HeldOutPairs
from ullage.probes.diversity import ManyAnswers, VariedText
from ullage.probes.fidelity import Agreement, LikelihoodGap, NextTokens, TeacherText, TextBits
from ullage.probes.grounding import (
    Claims,
    Conflict,
    Contradictory,
    Counterfactual,
    Irrelevant,
    Missing,
    Position,
    Present,
)
from ullage.probes.imported import ImportedProbe
from ullage.probes.inheritance import GroupSwaps, TeacherErrors
from ullage.probes.privacy import (
    CanaryChoice,
    CanaryExposure,
    CanaryExtraction,
    CanaryInheritance,
    Confidences,
    Membership,
    MembershipLoss,
    MembershipTokens,
)
from ullage.probes.process import GivenSteps, StepSamples, WorkedSteps
from ullage.probes.protocol import Probe
from ullage.probes.safety import (
    Jailbreak,
    RefusalList,
    RefusalPairs,
    TraitTransfer,
    TraitTransferText,
)
from ullage.probes.stability import Endings, Recovery, Sharded, Turns
from ullage.probes.tasks import TaskProbe, with_items
from ullage.probes.uncertainty import Confidence, SemanticEntropy, VerbalConfidence, VoteConfidence

GROUP = "ullage.probes"

PACKAGED: dict[str, type[Probe]] = {
    probe.name: probe
    for probe in (
        Agreement,
        LikelihoodGap,
        TeacherText,
        NextTokens,
        TextBits,
        Confidence,
        VoteConfidence,
        VerbalConfidence,
        SemanticEntropy,
        Abstention,
        Clarification,
        Formats,
        Invariance,
        OddWriting,
        EmptyInput,
        LongInput,
        OtherLanguages,
        WorkedSteps,
        GivenSteps,
        StepSamples,
        Turns,
        Sharded,
        Recovery,
        Endings,
        Present,
        Missing,
        Counterfactual,
        Contradictory,
        Irrelevant,
        Conflict,
        Position,
        Claims,
        Confidences,
        CanaryExposure,
        CanaryExtraction,
        CanaryInheritance,
        CanaryChoice,
        Membership,
        MembershipTokens,
        MembershipLoss,
        RefusalPairs,
        RefusalList,
        Jailbreak,
        TraitTransfer,
        TraitTransferText,
        VariedText,
        ManyAnswers,
        HeldOutPairs,
        CorpusDistance,
        NovelRule,
        Correction,
        ListEdits,
        Steering,
        SoftInstructions,
        TeacherErrors,
        GroupSwaps,
    )
}
"""The probes of this package, by name."""


def names() -> tuple[str, ...]:
    """Names of all probes, packaged first; nothing of a third party is imported."""
    return (*PACKAGED, *(name for name in _offered() if name not in PACKAGED))


def get_probe(name: str) -> Probe:
    """A probe by name.

    Raises:
        InputError: if there is none, or a third party's cannot be loaded.
    """
    if name in PACKAGED:
        return PACKAGED[name]()
    offered = _offered()
    if name not in offered:
        raise InputError(f"no probe '{name}'; {did_you_mean(name, names())}")
    return _load(offered[name])


def all_probes() -> dict[str, Probe]:
    """Every probe that loads, by name; `broken_probes` tells of the others."""
    return _load_all()[0]


def broken_probes() -> dict[str, str]:
    """Third parties' probes that cannot be loaded: name to one line that says why."""
    return _load_all()[1]


def resolve(config: Config, root: Path) -> dict[str, Probe]:
    """The probes that the configuration's targets name, with its tasks and own items.

    Args:
        config: the configuration.
        root: folder of the configuration file, which its paths are relative to.

    Raises:
        InputError: for an unknown probe or metric, a name used twice, or a file that is unfit.
    """
    scenario = with_targets(load_scenario(config.scenario, root), config.targets)
    tasks = {task.name: task for task in config.tasks}
    evals = {one.name: one for one in config.imported.evals} if config.imported else {}
    if len(tasks) < len(config.tasks):
        raise InputError("tasks: two of them have one name; rename one")
    for name in (*tasks, *evals):
        if name in names():
            raise InputError(f"tasks: '{name}' is the name of a probe; rename the task")
    for name in config.items:
        if name not in names():
            raise InputError(f"items: no probe '{name}'; {did_you_mean(name, names())}")
    probes: dict[str, Probe] = {}
    for target in scenario.targets:
        if target.probe not in probes:
            probes[target.probe] = configured(target.probe, config, root)
        _check_metric(target, probes[target.probe])
    return probes


def configured(name: str, config: Config, root: Path) -> Probe:
    """A probe or task by name, with the items that the configuration has for it.

    Args:
        name: of a probe, or of a task of the configuration.
        config: the configuration.
        root: folder of the configuration file, which its paths are relative to.

    Raises:
        InputError: there is none of that name, or its file is unfit.
    """
    tasks = {task.name: task for task in config.tasks}
    if name in tasks:
        return TaskProbe(tasks[name], _path(root, tasks[name].file))
    evals = {one.name: one for one in config.imported.evals} if config.imported else {}
    if name in evals:
        return ImportedProbe(evals[name], root)
    if name in config.items:
        return with_items(get_probe(name), _path(root, config.items[name]))
    return _without_items(_get(name, (*names(), *tasks, *evals)))


def _path(root: Path, reference: str) -> Path:
    return root / Path(reference).expanduser()


def _without_items(probe: Probe) -> Probe:
    """The probe, told that it has nothing to measure with where it needs the user's items."""
    if isinstance(probe, PackagedProbe):
        probe.obstacle = probe.needs_items
    return probe


def _get(name: str, known: tuple[str, ...]) -> Probe:
    if name not in known:
        raise InputError(f"targets: no probe or task '{name}'; {did_you_mean(name, known)}")
    return get_probe(name)


def _check_metric(target: Target, probe: Probe) -> None:
    known = [metric.name for metric in probe.metrics]
    if target.metric not in known:
        raise InputError(
            f"targets: probe '{probe.name}' has no metric '{target.metric}'; "
            f"{did_you_mean(target.metric, known)}"
        )


def _offered() -> dict[str, EntryPoint]:
    """Entry points of installed packages by name; the first of a name counts."""
    offered: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        offered.setdefault(point.name, point)
    return offered


def _load_all() -> tuple[dict[str, Probe], dict[str, str]]:
    probes: dict[str, Probe] = {name: probe() for name, probe in PACKAGED.items()}
    broken: dict[str, str] = {}
    for name, point in _offered().items():
        if name in PACKAGED:
            broken[name] = f"{_where(point)}: that name is taken by a packaged probe"
            continue
        try:
            probes[name] = _load(point)
        except InputError as error:
            broken[name] = str(error)
    return probes, broken


def _load(point: EntryPoint) -> Probe:
    try:
        found = point.load()
        probe = found() if isinstance(found, type) else found
    except Exception as error:  # whatever a third party's module raises, it is one line
        raise InputError(
            f"{_where(point)} cannot be loaded: {type(error).__name__}: {error}; "
            "mend or uninstall the package"
        ) from None
    if not isinstance(probe, Probe):
        raise InputError(f"{_where(point)} is no Probe but a {type(probe).__name__}")
    if probe.name != point.name:
        raise InputError(
            f"{_where(point)} calls itself '{probe.name}'; the entry point needs that name"
        )
    return probe


def _where(point: EntryPoint) -> str:
    package = point.dist.name if point.dist else "an unknown package"
    return f"probe '{point.name}' of {package} ({point.value})"
