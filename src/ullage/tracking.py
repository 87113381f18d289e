"""`ullage statement log`: a statement as a run of MLflow or Weights & Biases.

Numbers go where each tool draws them, verdicts and consents where it searches, and the files of the
statement stand beside them. Both libraries are imported only here, where one is asked for.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ullage.errors import InfrastructureError, InputError
from ullage.models.secrets import REDACTED
from ullage.signing import NAME as SIGNED
from ullage.statement.acceptance import FOLDER
from ullage.statement.exports.formats import Tracker
from ullage.statement.exports.rows import Row, rows
from ullage.statement.exports.snapshot import Snapshot, shown
from ullage.statement.exports.tables import findings_table, to_csv
from ullage.statement.sanitise import visible
from ullage.statement.store import NAMES

_NUMBERS = ("loss", "low", "high", "margin", "teacher", "student")
_WORDS = ("verdict", "severity", "gate", "consent", "accepted_by", "accepted_until")


_BATCH = 1_000
"""Most numbers that MLflow takes at once."""
_TRACKING = "MLFLOW_TRACKING_URI"
_INSTALL = {Tracker.MLFLOW: "mlflow-skinny", Tracker.WANDB: "wandb"}


def log(snapshot: Snapshot, path: Path, tracker: Tracker, project: str) -> str:
    """Log a statement as one new run.

    Args:
        snapshot: the statement.
        path: its `statement.json`; the files beside it become artifacts.
        tracker: to which tool.
        project: MLflow's experiment, W&B's project.

    Returns:
        The id of the run.

    Raises:
        InputError: the library is not installed.
        InfrastructureError: it would not take the run.
    """
    require(tracker)
    log_to = _to_mlflow if tracker == Tracker.MLFLOW else _to_wandb
    try:
        with tempfile.TemporaryDirectory() as scratch:
            findings = Path(scratch) / "findings.csv"
            findings.write_bytes(to_csv(findings_table(rows(snapshot))))
            return log_to(snapshot, [*files(path), ("", findings)], project)
    except Exception as error:  # whatever the library raises
        unsaid = tracker == Tracker.MLFLOW and not os.environ.get(_TRACKING)
        mend = f"say in ${_TRACKING} where it goes" if unsaid else "mend that"
        raise InfrastructureError(
            f"{tracker}: did not take the run: {_told(error)}; {mend}, and log it again"
        ) from None


def require(tracker: Tracker) -> None:
    """Refuse a tool whose library is not there.

    Raises:
        InputError: naming it, and how to install it.
    """
    if find_spec(tracker) is None:
        raise InputError(
            f"--to {tracker}: {tracker} is not installed; pip install {_INSTALL[tracker]}"
        )


def metrics(snapshot: Snapshot) -> dict[str, float]:
    """Every number of every target, as ``loss/probe.metric``, and how many targets per verdict."""
    told = {
        f"{name}/{row.target}": float(value)
        for row in _judged(snapshot)
        for name in _NUMBERS
        if (value := getattr(row, name)) is not None
    }
    counts = snapshot.statement.joint.counts
    return told | {f"targets/{verdict}": float(count) for verdict, count in counts.items()}


def tags(snapshot: Snapshot) -> dict[str, str]:
    """Verdict, gate and consent of every target, as ``verdict/probe.metric``, and the whole."""
    statement = snapshot.statement
    told = {
        f"{name}/{row.target}": str(value)
        for row in _judged(snapshot)
        for name in _WORDS
        if (value := getattr(row, name))
    }
    return told | {
        "ullage.statement": shown(statement.name),
        "ullage.statement_sha256": snapshot.sha256,
        "ullage.standing": snapshot.standing,
        "ullage.gate": f"{snapshot.report.exit_code}: {snapshot.report.sentence}",
        "ullage.not_known": shown("; ".join(snapshot.unknown)),
        "ullage.student": shown(statement.arms["student"].identity),
        "ullage.teacher": shown(statement.arms["teacher"].identity),
    }


def files(path: Path) -> Iterator[tuple[str, Path]]:
    """The files of a statement: the folder each belongs in, and its place."""
    beside = [path, *(path.parent / name for name in (*NAMES[1:], SIGNED))]
    yield from (("", one) for one in beside if one.is_file())
    yield from ((FOLDER, one) for one in sorted((path.parent / FOLDER).glob("*.json")))


def _told(error: Exception) -> str:
    """What a library said was wrong, without the secrets it may repeat."""
    text = re.sub(r"//[^/@\s]+@", "//", str(error) or type(error).__name__)
    for name, value in os.environ.items():
        if re.search("KEY|TOKEN|PASSWORD|SECRET", name) and value:
            text = text.replace(value, REDACTED)
    return visible(" ".join(text.split()), limit=300).rstrip(".")


def _judged(snapshot: Snapshot) -> list[Row]:
    return [row for row in rows(snapshot) if row.target]


def _to_mlflow(snapshot: Snapshot, beside: list[tuple[str, Path]], project: str) -> str:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    # The client, not `mlflow.start_run`: that would also keep the user's name and the program.
    client = MlflowClient()
    experiment = client.get_experiment_by_name(project)
    place = experiment.experiment_id if experiment else client.create_experiment(project)
    run = client.create_run(place, run_name=shown(snapshot.statement.name), tags=tags(snapshot))
    now = int(time.time() * 1000)
    numbers = [Metric(name, value, now, 0) for name, value in metrics(snapshot).items()]
    for start in range(0, len(numbers), _BATCH):
        client.log_batch(run.info.run_id, metrics=numbers[start : start + _BATCH])
    for folder, file in beside:
        client.log_artifact(run.info.run_id, str(file), folder or None)
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _to_wandb(snapshot: Snapshot, beside: list[tuple[str, Path]], project: str) -> str:
    import wandb

    # It would also send the command line, the program, the repository and the machine's load.
    quiet = wandb.Settings(
        console="off", disable_git=True, disable_code=True, disable_job_creation=True,
        x_disable_meta=True, x_disable_stats=True, x_save_requirements=False, silent=True,
    )  # fmt: skip
    with wandb.init(
        project=project,
        name=shown(snapshot.statement.name),
        job_type="statement",
        config=tags(snapshot),
        settings=quiet,
    ) as run:
        run.log(metrics(snapshot))
        artifact = wandb.Artifact("statement", type="distillation-loss-statement")
        for folder, file in beside:
            artifact.add_file(str(file), f"{folder}/{file.name}" if folder else file.name)
        run.log_artifact(artifact)
        return str(run.id)
