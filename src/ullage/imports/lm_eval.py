"""Reading lm-eval's logs: ``results_*.json``, and ``samples_*.jsonl`` of ``--log_samples``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ullage.config.imported import Figure
from ullage.errors import InputError
from ullage.imports.logs import (
    Log,
    LoggedEval,
    LoggedMetric,
    Options,
    Sample,
    cut,
    digest,
    follows,
    key_of,
    named,
    number,
    together,
    told,
)
from ullage.imports.safely import read_json, read_lines
from ullage.stats.families import MIN_FAMILIES

RESULTS = "results_*.json"

_FIGURES: dict[str, Figure] = {
    "perplexity": "perplexity",
    "word_perplexity": "weighted-perplexity",
    "byte_perplexity": "weighted-perplexity",
    "bits_per_byte": "bits-per-byte",
}
"""Metrics that lm-eval does not average (`api/metrics.py`); what follows from no rule here is left
unmeasured."""


def read_lm_eval(folder: Path, options: Options) -> Log:
    """A folder of one model's runs.

    Raises:
        InputError: there is none, samples were not logged, or two models or two runs of a task are
            in it.
    """
    paths = sorted(folder.rglob(RESULTS))
    found = together((_read_run(path, options) for path in paths), folder)
    if found is None:
        raise InputError(f"{folder}: no {RESULTS} of lm-eval in it; name the folder of its logs")
    return found


def _read_run(path: Path, options: Options) -> Log:
    results = read_json(path)
    if not isinstance(results, dict) or not isinstance(results.get("results"), dict):
        raise InputError(f"{path}: no results of lm-eval in it; name the folder of its logs")
    stamp = path.stem.removeprefix("results_")
    # Names of tasks are never made into paths: files are listed, and compared with names.
    files = {file.name: file for file in path.parent.glob(f"samples_*_{stamp}.jsonl")}
    evals: dict[str, LoggedEval] = {}
    for task in _objects(results, "configs"):
        file = files.get(f"samples_{task}_{stamp}.jsonl")
        if file is not None:
            evals.update(_read_task(file, task, results, options))
    if not evals:
        raise InputError(f"{path}: no samples beside it; run lm-eval again with --log_samples")
    if not options.subtasks:
        _pool_groups(evals, results)
    settings = results.get("config")
    arguments = settings.get("model_args") if isinstance(settings, dict) else None
    about = {"model": named(results.get("model_name", "not told")), **told(arguments)}
    for key in ("model_sha", "chat_template_sha"):
        value = results.get(key) or (settings.get(key) if isinstance(settings, dict) else None)
        if value:
            about[key] = named(value)
    return Log(
        tool=f"lm-eval {named(results.get('lm_eval_version', 'of unknown version'), 40)}",
        about=about,
        evals=evals,
    )


def _read_task(
    file: Path, task: str, results: Mapping[str, Any], options: Options
) -> Iterator[tuple[str, LoggedEval]]:
    """(title, eval) of each filter of a task."""
    config = _objects(results, "configs")[task]
    kind = str(config.get("output_type", "")) if isinstance(config, dict) else ""
    metrics = _metrics(task, results)
    samples: dict[str, dict[str, Sample]] = {}
    for where, row in read_lines(file):
        if not isinstance(row, dict) or "doc_id" not in row:
            raise InputError(f"{where}: no sample of lm-eval; name the folder of its logs")
        chosen = str(row.get("filter", "none"))
        wanted = metrics.get(chosen, {})
        mine = samples.setdefault(chosen, {})
        id_ = key_of(row["doc_id"])
        if id_ in mine:
            raise InputError(f"{where}: sample {named(id_)} is there twice; is the log whole?")
        mine[id_] = _sample(row, id_, kind, wanted, options)
    version = named(_objects(results, "versions").get(task, "not told"), 40)
    for chosen, theirs in metrics.items():
        if theirs and chosen in samples:
            yield (
                _title(task, chosen),
                LoggedEval(version=version, samples=samples[chosen], metrics=theirs),
            )


def _title(task: str, chosen: str) -> str:
    return task if chosen == "none" else f"{task} {chosen}"


def _metrics(task: str, results: Mapping[str, Any]) -> dict[str, dict[str, LoggedMetric]]:
    """By filter and name, the figures of a task or group; keys are ``metric,filter``."""
    better = _objects(results, "higher_is_better").get(task)
    figures = {**_objects(results, "results"), **_objects(results, "groups")}.get(task)
    found: dict[str, dict[str, LoggedMetric]] = {}
    for key, value in figures.items() if isinstance(figures, dict) else ():
        name, comma, chosen = key.partition(",")
        theirs = number(value)
        if not comma or name.endswith("_stderr") or theirs is None:
            continue
        higher = better.get(name) if isinstance(better, dict) else None
        found.setdefault(chosen, {})[name] = LoggedMetric(
            theirs=theirs,
            figure=_FIGURES.get(name, "mean"),
            higher_is_better=higher if isinstance(higher, bool) else None,
        )
    return found


def _sample(
    row: Mapping[str, Any], id_: str, kind: str, wanted: Mapping[str, object], options: Options
) -> Sample:
    arguments = _arguments(row.get("arguments"))
    target, doc = row.get("target"), row.get("doc")
    key = options.family
    family = doc.get(key) if isinstance(doc, dict) and key is not None else None
    options_given = [str(one[1]) for one in arguments if len(one) > 1]
    return Sample(
        digest=digest([doc, target] if options.by_document else [arguments, target]),
        family=id_ if family is None else key_of(f"{key}={family}"),
        messages=(("user", cut(str(arguments[0][0]) if arguments and arguments[0] else "")),),
        reference=cut(_reference(target, kind, options_given)),
        text=cut(_said(row.get("resps"), kind, options_given)),
        scores={name: score for name in wanted if (score := _score(row.get(name))) is not None},
    )


def _arguments(found: Any) -> list[list[Any]]:
    """What the model was given, request by request: ``gen_args_0: {arg_0: …}``, or lists."""
    requests = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(requests, list):
        return []
    return [
        list(one.values()) if isinstance(one, dict) else one
        for one in requests
        if isinstance(one, dict | list)
    ]


def _score(value: Any) -> tuple[float, ...] | None:
    values = value if isinstance(value, list) else [value]
    score = tuple(one for value in values if (one := number(value)) is not None)
    return score if 1 <= len(score) == len(values) <= 2 else None


def _reference(target: Any, kind: str, choices: list[str]) -> str:
    text = str(target)
    if kind == "multiple_choice" and text.isdecimal() and int(text) < len(choices):
        return choices[int(text)].strip()
    return text.strip()


def _said(resps: Any, kind: str, choices: list[str]) -> str:
    """The replies, or the log-likelihood that each continuation was found to have."""
    requests = resps if isinstance(resps, list) else []
    answers = [answer for one in requests for answer in (one if isinstance(one, list) else [one])]
    if kind == "generate_until":
        return "\n".join(map(str, answers))
    shown = [str(one[0] if isinstance(one, list) and one else one) for one in answers]
    if len(shown) == len(choices):
        shown = [f"{value}  {choice}" for value, choice in zip(shown, choices, strict=True)]
    return "\n".join(["log-likelihood:", *shown])


def _pool_groups(evals: dict[str, LoggedEval], results: Mapping[str, Any]) -> None:
    """Put the subtasks of a group together where its figure is that of all their samples.

    Subtasks become families, so there have to be enough of them for an interval.
    """
    groups = {
        name: [str(one) for one in subtasks]
        for name, subtasks in _objects(results, "group_subtasks").items()
        if isinstance(subtasks, list) and subtasks
    }
    inner = {one for subtasks in groups.values() for one in subtasks}
    for group in groups:
        if group in inner:
            continue
        leaves = list(dict.fromkeys(_leaves(group, groups, frozenset())))
        for chosen, metrics in _metrics(group, results).items():
            parts = {leaf: evals.get(_title(leaf, chosen)) for leaf in leaves}
            pooled = _pooled(parts, metrics, named(_objects(results, "versions").get(group)))
            if pooled is not None:
                for leaf in leaves:
                    del evals[_title(leaf, chosen)]
                evals[_title(group, chosen)] = pooled


def _leaves(name: str, groups: Mapping[str, list[str]], above: frozenset[str]) -> Iterator[str]:
    if name not in groups:
        yield name
    elif name not in above:
        for one in groups[name]:
            yield from _leaves(one, groups, above | {name})


def _pooled(
    parts: Mapping[str, LoggedEval | None], metrics: Mapping[str, LoggedMetric], version: str
) -> LoggedEval | None:
    whole = {name: part for name, part in parts.items() if part is not None}
    if len(whole) < len(parts) or len(whole) < MIN_FAMILIES or not metrics:
        return None
    samples = {
        f"{name}/{id_}": replace(sample, family=name)
        for name, part in whole.items()
        for id_, sample in part.samples.items()
    }
    left = {metric for part in whole.values() for metric in part.metrics} - metrics.keys()
    versions = {part.version for part in whole.values()}
    pooled = LoggedEval(
        version=" ".join([version, *sorted(versions - {version})]),
        samples=samples,
        metrics=metrics,
        leftovers=tuple(
            f"{named(one)} of its {len(whole)} subtasks, of which the group has no figure"
            for one in sorted(left)
        ),
    )
    return pooled if all(follows(pooled, name) for name in metrics) else None


def _objects(results: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = results.get(key)
    return found if isinstance(found, dict) else {}
