"""The folder that an import leaves: configuration, scenario, items, and each arm's recording."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ullage.config.canonical import dump
from ullage.config.imported import Imported, ImportedEval, ImportedMetric
from ullage.config.models import (
    Arm,
    Arms,
    Config,
    Planning,
    RecordedOptions,
    Scenario,
    Target,
    TeacherAgain,
)
from ullage.errors import InputError
from ullage.files import cannot_write, write_together
from ullage.imports.logs import Log, Sample
from ullage.imports.pairing import Paired
from ullage.probes.imported import columns_of

CONFIG, SCENARIO, ITEMS = "ullage.yaml", "scenario.yaml", "items"

_SCHEMA_NOTE = "# Written by `ullage import`. Margins, severities and reasons are yours to set.\n"
_NOTES = (
    "Replies and scores were imported: another tool asked and scored, and this audit judged what "
    "it logged.",
    "The margins were set when the logs were there already. A margin written down before asking is "
    "worth more.",
)


class Margins:
    """What `--margin` says: one share for all, and figures of targets by name."""

    def __init__(self, given: Iterable[str], default: float = 0.05) -> None:
        """Read ``0.03`` and ``eval.metric=0.5``.

        Raises:
            InputError: one of them is neither.
        """
        self.share, self.of = default, dict[str, float]()
        for text in given:
            name, equals, number = text.rpartition("=")
            try:
                value = float(number)
            except ValueError:
                value = -1.0
            if not 0.0 < value < 1e9 or (equals and not name):
                raise InputError(f"--margin {text!r}: expected 0.03, or sums-match.accuracy=0.03")
            if equals:
                self.of[name] = value
            else:
                self.share = value

    def target(self, one: Paired, metric: ImportedMetric) -> Target:
        """The target of a figure: what was said of it, else a share of its range.

        The range is 1 where scores lie between 0 and 1, and else the teacher's own figure.
        """
        name = f"{one.name}.{metric.name}"
        bounded = metric.bounds == (0.0, 1.0)
        theirs = None if metric.unmeasured else one.figure("teacher", metric)
        margin = self.share * (1.0 if bounded or not theirs else abs(theirs))
        of = "" if bounded else " of the teacher's figure"
        reason = (
            f"The share of {self.share:g}{of} that `ullage import` sets. Say here what a larger "
            "loss would cost whom, and set your own margin."
        )
        if name in self.of:
            margin = self.of[name]
            reason = "Set with --margin. Say here what a larger loss would cost, and whom."
        return Target(
            probe=one.name,
            metric=metric.name,
            margin=float(f"{margin:.3g}"),
            reason=reason,
            headline=True,
        )

    def refuse_unknown(self, targets: Iterable[Target]) -> None:
        """Notice a margin of what is not there.

        Raises:
            InputError: there is one.
        """
        known = {target.id for target in targets}
        if unknown := self.of.keys() - known:
            some = ", ".join(sorted(known)[:6])
            raise InputError(f"--margin {min(unknown)!r}: no such figure; there are {some}")


def write_folder(
    folder: Path, logs: Mapping[str, Log], paired: list[Paired], margins: Margins
) -> Config:
    """Write everything an audit needs; the configuration comes last.

    Raises:
        InputError: nothing can be judged, or the folder cannot be written.
    """
    measured = [one for one in paired if any(not metric.unmeasured for metric in one.metrics)]
    if not measured:
        first = paired[0].metrics[0]
        raise InputError(
            f"nothing can be judged; {paired[0].title}, for one: {first.unmeasured or 'no figures'}"
        )
    scenario = _scenario(paired, margins)
    config = _config(folder, logs, paired)
    items = {f"{one.name}.jsonl": _items(one) for one in measured}
    try:
        (folder / ITEMS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder / ITEMS, error) from error
    write_together(folder / ITEMS, items)
    arms = {f"{arm}.jsonl": _recording(measured, arm) for arm in logs}
    write_together(
        folder,
        {
            **arms,
            SCENARIO: (_SCHEMA_NOTE + dump(scenario)).encode(),
            CONFIG: (_SCHEMA_NOTE + dump(config)).encode(),
        },
    )
    return config


def _scenario(paired: list[Paired], margins: Margins) -> Scenario:
    targets = tuple(margins.target(one, metric) for one in paired for metric in one.metrics)
    margins.refuse_unknown(targets)
    return Scenario(
        name="imported",
        title="Evals that were there already",
        use="Whatever these evals stand for; say here what the student is for.",
        not_for="Anything these evals do not ask about: see what is not known.",
        targets=targets,
    )


def _config(folder: Path, logs: Mapping[str, Log], paired: list[Paired]) -> Config:
    size = max(len(one.samples.get("teacher", {})) for one in paired)
    return Config(
        name="imported",
        scenario=SCENARIO,
        arms=Arms(
            teacher_again=TeacherAgain(enabled=False),
            **{
                arm: Arm(
                    model=f"recorded:{arm}.jsonl",
                    recorded=RecordedOptions(match="id", about={"tool": log.tool, **log.about}),
                )
                for arm, log in logs.items()
            },
        ),
        imported=Imported(
            evals=tuple(_eval(one, logs) for one in paired),
            notes=(*_NOTES, *(note for one in paired for note in one.notes)),
        ),
        # All that was logged is judged, whatever the power.
        planning=Planning(items=size, max_items=size, min_items=1),
    )


def _eval(one: Paired, logs: Mapping[str, Log]) -> ImportedEval:
    tools = dict.fromkeys(logs[arm].tool for arm in ("teacher", "student") if arm in one.samples)
    measured = any(not metric.unmeasured for metric in one.metrics)
    return ImportedEval(
        name=one.name,
        source=f"{' and '.join(tools)}, {one.title}, version {one.version}",
        file=f"{ITEMS}/{one.name}.jsonl" if measured else None,
        metrics=one.metrics,
    )


def _items(one: Paired) -> bytes:
    return _lines(
        {
            "id": id_,
            "family": sample.family,
            "messages": [{"role": role, "content": text} for role, text in sample.messages],
            **({"reference": sample.reference} if sample.reference.strip() else {}),
        }
        for id_, sample in one.samples["teacher"].items()
    )


def _recording(measured: list[Paired], arm: str) -> bytes:
    return _lines(
        {"id": f"{one.name}/{id_}", "text": sample.text, "scores": _scores(one, sample)}
        for one in measured
        for id_, sample in one.samples.get(arm, {}).items()
        if not sample.failed
    )


def _scores(one: Paired, sample: Sample) -> dict[str, float]:
    return {
        column: value
        for metric in one.metrics
        if not metric.unmeasured and (score := sample.scores.get(one.logged[metric.name]))
        for column, value in zip(columns_of(metric.name, metric.figure), score, strict=True)
    }


def _lines(rows: Iterable[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
