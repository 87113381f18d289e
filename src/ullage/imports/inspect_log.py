"""Reading Inspect's logs: ``.eval`` (a zip of JSON) and ``.json``."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ullage.errors import InputError
from ullage.imports.logs import (
    Log,
    LoggedEval,
    LoggedMetric,
    Options,
    Sample,
    cut,
    digest,
    key_of,
    named,
    number,
    together,
    told,
)
from ullage.imports.safely import Archive, read_json

SUFFIXES = (".eval", ".json")

_SPREAD = ("stderr", "bootstrap_stderr", "std", "var")
"""Metrics that say how sure another is: the statement has intervals of its own."""

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def read_inspect(path: Path, options: Options) -> Log:
    """A log, or a folder of one model's logs.

    Raises:
        InputError: there is none, a run did not end well, or two models or two runs of a task are
            in it.
    """
    files = sorted(one for one in path.rglob("*") if is_inspect(one)) if path.is_dir() else [path]
    found = together((_read_log(file, options) for file in files), path)
    if found is None:
        raise InputError(f"{path}: no log of Inspect in it; name a .eval or .json log")
    return found


def is_inspect(path: Path) -> bool:
    """Whether a file may be a log of Inspect, by its name."""
    return path.suffix in SUFFIXES and path.name != "logs.json" and path.is_file()


def _read_log(path: Path, options: Options) -> Log:
    if path.suffix == ".eval":
        with Archive(path) as archive:
            if "header.json" not in archive.names:
                raise InputError(f"{path}: no header.json in it; let the eval run to its end")
            header = archive.read("header.json")
            names = archive.names
            reductions = archive.read("reductions.json") if "reductions.json" in names else []
            each = (archive.read(name) for name in names if name.startswith("samples/"))
            return _log(path, header, each, reductions, options)
    whole = read_json(path)
    samples = _list(whole.get("samples")) if isinstance(whole, dict) else []
    reductions = whole.get("reductions") if isinstance(whole, dict) else []
    return _log(path, whole, iter(samples), reductions, options)


def _log(path: Path, header: Any, samples: Iterable[Any], reductions: Any, options: Options) -> Log:
    about = header.get("eval") if isinstance(header, dict) else None
    if not isinstance(about, dict) or "task" not in about or "model" not in about:
        raise InputError(f"{path}: no log of Inspect; name a .eval or .json log")
    results, status = header.get("results"), header.get("status")
    if status != "success" or not isinstance(results, dict):
        raise InputError(
            f"{path}: the eval's status is '{named(status)}'; end it with `inspect eval-retry`"
        )
    packages = about.get("packages")
    version = packages.get("inspect_ai") if isinstance(packages, dict) else None
    return Log(
        tool=f"Inspect {named(version or 'of unknown version', 40)}",
        about={
            "model": named(about["model"]),
            **told(about.get("model_args")),
            **told(about.get("model_generate_config")),
        },
        evals=dict(_evals(path, about, results, _Epochs.read(path, samples, options), reductions)),
    )


@dataclass(frozen=True, slots=True)
class _Epochs:
    """A log's samples by id: what was asked, and what every epoch made of it."""

    asked: Mapping[str, Sample]
    scores: Mapping[str, list[Mapping[str, Any]]]
    """By id, an object of scorer to value for each epoch."""

    @classmethod
    def read(cls, path: Path, samples: Iterable[Any], options: Options) -> _Epochs:
        asked: dict[str, Sample] = {}
        scores: dict[str, list[Mapping[str, Any]]] = {}
        seen: set[tuple[str, str]] = set()
        for found in samples:
            if not isinstance(found, dict) or "id" not in found:
                raise InputError(f"{path}: a sample without an id; is the log whole?")
            id_, epoch = key_of(found["id"]), str(found.get("epoch", 1))
            if (id_, epoch) in seen:
                raise InputError(f"{path}: sample {named(id_)} is there twice; is the log whole?")
            seen.add((id_, epoch))
            one = _sample(found, id_, options)
            before = asked.get(id_)
            if before is not None and before.digest != one.digest:
                raise InputError(f"{path}: sample {named(id_)} asks another question in each epoch")
            if before is not None:
                text = cut(f"{before.text}\n[epoch {named(epoch, 8)}] {one.text}")
                one = replace(before, text=text, failed=before.failed and one.failed)
            asked[id_] = one
            scores.setdefault(id_, []).append(_object(found.get("scores")))
        return cls(asked, scores)


def _sample(found: Mapping[str, Any], id_: str, options: Options) -> Sample:
    texts = _object(found.get("attachments"))
    target, choices = found.get("target", ""), found.get("choices")
    messages = tuple(_turns(found.get("input"), texts))
    key = options.family
    family = _object(found.get("metadata")).get(key) if key is not None else None
    asked = [id_, target] if options.by_document else [messages, choices, target]
    shown = [*messages]
    if isinstance(choices, list) and choices:
        shown.append(("user", "\n".join(_text(choice, texts) for choice in choices)))
    output = _object(found.get("output"))
    return Sample(
        digest=digest(asked),
        family=id_ if family is None else key_of(f"{key}={family}"),
        messages=tuple((role, cut(text)) for role, text in shown),
        reference=cut(", ".join(map(str, target)) if isinstance(target, list) else str(target)),
        text=cut(_text(output.get("completion", ""), texts)),
        scores={},
        failed=bool(found.get("error")) and not found.get("scores"),
    )


def _turns(asked: Any, texts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(role, text) of what a sample asks: one text, or messages."""
    for turn in asked if isinstance(asked, list) else [{"role": "user", "content": asked}]:
        message = _object(turn)
        role = message.get("role")
        text = _text(message.get("content"), texts)
        if role not in ("system", "user", "assistant"):
            role, text = "user", f"[{named(role, 20)}] {text}"
        yield str(role), text


def _text(content: Any, texts: Mapping[str, Any]) -> str:
    """The text of a message; long ones are kept apart, under a name."""
    if isinstance(content, list):
        return "\n".join(_part(_object(part), texts) for part in content)
    text = "" if content is None else str(content)
    return str(texts.get(text.removeprefix("attachment://"), text))


def _part(part: Mapping[str, Any], texts: Mapping[str, Any]) -> str:
    if "text" in part:
        return _text(part["text"], texts)
    # What is no text counts for whether two samples ask the same.
    return f"[{named(part.get('type'), 20)} sha256:{digest(part)[:16]}]"


def _evals(
    path: Path,
    about: Mapping[str, Any],
    results: Mapping[str, Any],
    epochs: _Epochs,
    reductions: Any,
) -> Iterator[tuple[str, LoggedEval]]:
    """(title, eval) of each score that the log has figures of."""
    titles: list[str] = []
    for score in _list(results.get("scores")):
        one = _object(score)
        name, scorer, reducer = (str(one.get(key) or "") for key in ("name", "scorer", "reducer"))
        metrics = {
            metric: LoggedMetric(
                theirs=value,
                # Inspect does not log which way is better. Accuracy is the share that is right.
                higher_is_better=True if metric == "accuracy" else None,
            )
            for metric, found in _object(one.get("metrics")).items()
            if metric not in _SPREAD and (value := number(_object(found).get("value"))) is not None
        }
        if not metrics:
            continue
        values = _reduced(epochs, reductions, scorer, name, reducer)
        samples = {
            id_: replace(sample, scores=dict.fromkeys(metrics, (values[id_],)))
            if id_ in values
            else sample
            for id_, sample in epochs.asked.items()
        }
        title = f"{about['task']} {name}" + (f" {reducer}" if reducer not in ("", "mean") else "")
        titles.append(title)
        yield (
            # One score may be told twice, over epochs and over their reductions.
            title if titles.count(title) == 1 else f"{title} {titles.count(title)}",
            LoggedEval(
                version=named(about.get("task_version", "not told"), 40),
                samples=samples,
                metrics=metrics,
            ),
        )


def _reduced(
    epochs: _Epochs, reductions: Any, scorer: str, name: str, reducer: str
) -> dict[str, float]:
    """By id, what a sample's epochs come to; a sample without a score is not there.

    Their mean is worked out here, from the grades; what another reducer made of them is read.
    """
    if reducer in ("", "mean"):
        graded = {
            id_: [
                value
                for epoch in each
                if (value := to_float(_value(_object(epoch.get(scorer)), name))) is not None
            ]
            for id_, each in epochs.scores.items()
        }
        return {id_: statistics.mean(values) for id_, values in graded.items() if values}
    found: dict[str, float] = {}
    for reduction in map(_object, _list(reductions)):
        if (reduction.get("scorer"), reduction.get("reducer")) == (scorer, reducer):
            for sample in map(_object, _list(reduction.get("samples"))):
                value = to_float(_value(sample, name))
                if value is not None:
                    found[key_of(sample.get("sample_id"))] = value
    return found


def _value(score: Mapping[str, Any], name: str) -> Any:
    value = score.get("value")
    return value.get(name) if isinstance(value, dict) else value


def to_float(value: Any) -> float | None:
    """What a score counts, as Inspect's `value_to_float` has it; None for what is no score.

    Inspect counts text that it does not know as 0, with a warning; here its figure then does not
    follow from the samples, and is unmeasured.
    """
    if isinstance(value, str):
        known = _GRADES.get(value, _WORDS.get(value.lower()))
        if known is not None:
            return known
        try:
            value = float(value)
        except ValueError:
            return None
    return number(value)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
