"""Side-by-side examples: for a loss, items where the arm compared with did better.

A loss that nobody can look at is only a number. Conversations are replayed from the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np

from ullage.collect.arms import ArmView
from ullage.collect.journal import Journal
from ullage.collect.replay import Exchange, replay
from ullage.models.types import Ask, Message, Reply, Weights
from ullage.plan import Plan
from ullage.probes.protocol import FloatArray, Item, Metric, Probe
from ullage.scores import ProbeScores, Scores
from ullage.statement.document import Example, Finding, Turn, Verdict

PER_FINDING = 3
MAX_CHARACTERS = 2_000
"""Longer texts are cut in the statement; the journal has them whole."""
_SHOWN = (Verdict.LOST, Verdict.DEGRADED)


def with_examples(
    findings: tuple[Finding, ...],
    plan: Plan,
    probes: Mapping[str, Probe],
    scores: Scores,
    journal: Journal,
) -> tuple[Finding, ...]:
    """The findings, each loss with up to three examples from different families."""
    chosen = {
        finding.id: _choose(finding, probes, scores)
        for finding in findings
        if finding.verdict in _SHOWN
    }
    views = plan.views()
    result = []
    for finding in findings:
        wanted = chosen.get(finding.id, [])
        examples: tuple[Example, ...] = ()
        if wanted:
            probe = probes[finding.target.probe]
            items = _find_items(probe, plan, set(wanted))
            table = scores.probes[probe.name]
            examples = tuple(
                example(items[name], table.items.index(name), probe, plan, views, journal, table)
                for name in wanted
            )
        result.append(finding.model_copy(update={"examples": examples}))
    return tuple(result)


def _choose(finding: Finding, probes: Mapping[str, Probe], scores: Scores) -> list[str]:
    """Ids of the items with the largest loss, at most one per family, in a fixed order."""
    table = scores.probes[finding.target.probe]
    metric = probes[finding.target.probe].metric(finding.target.metric)
    reference, student = (went_well(metric, table, arm) for arm in (metric.against, "student"))
    loss = np.nan_to_num(reference - student, nan=-np.inf)
    chosen: dict[int, str] = {}
    for place in np.argsort(-loss, kind="stable"):
        if loss[place] <= 0 or len(chosen) == PER_FINDING:
            break
        chosen.setdefault(int(table.family[place]), table.items[place])
    return list(chosen.values())


def went_well(metric: Metric, table: ProbeScores, arm: str) -> FloatArray:
    """(items,) how well an arm did on each item, turned so that more is better; NaN: no score."""
    # For a statistic of several columns the last one says whether the item went well.
    values = table.columns(arm, metric.source_columns[-1:])[:, 0]
    return -values if metric.functional is None and not metric.higher_is_better else values


def _find_items(probe: Probe, plan: Plan, wanted: set[str]) -> dict[str, Item]:
    planned = islice(probe.items(plan.seed), plan.probes[probe.name].items)
    return {item.id: item for item in planned if item.id in wanted}


def example(
    item: Item,
    place: int | None,
    probe: Probe,
    plan: Plan,
    views: Mapping[str, ArmView],
    journal: Journal,
    table: ProbeScores,
) -> Example:
    """What every arm was asked and said on one item, from the journal.

    Args:
        item: one of the probe's.
        place: its row of `table`; None where it has none.
        probe: the probe.
        plan: which arms were asked.
        views: every arm by role.
        journal: what they answered.
        table: what that scored.
    """
    replies, scored = {}, {}
    for role in plan.probes[probe.name].arms:
        exchanges: list[Exchange] = []
        replay(probe, item, role, views, journal, exchanges=exchanges)
        replies[role] = turns(exchanges, item.messages)
        for (arm, column), values in table.values.items():
            if arm == role and place is not None and np.isfinite(values[place]):
                scored[f"{role}.{column}"] = float(values[place])
    return Example(
        item=item.id,
        family=item.family,
        expects=item.expects,
        reference=_cut(item.answer),
        prompt=tuple(_turn(message) for message in item.messages),
        replies=replies,
        scores=scored,
    )


def turns(exchanges: Iterable[Exchange], prompt: tuple[Message, ...]) -> tuple[Turn, ...]:
    """What followed the prompt: messages not shown yet, and what the arm itself made of them."""
    shown = list(prompt)
    found: list[Turn] = []
    for want, answer in exchanges:
        if want.request.of != "self":
            continue
        messages = list(want.request.messages)
        common = 0
        while common < min(len(shown), len(messages)) and shown[common] == messages[common]:
            common += 1
        found += [_turn(message) for message in messages[common:]]
        shown = messages
        if isinstance(answer, Reply):
            found.append(_turn(answer.message))
            shown = [*messages, answer.message]
        elif isinstance(answer, Weights) and not isinstance(want.request, Ask):
            weighed = zip(want.request.continuations, answer.logprobs, strict=True)
            text = "\n".join(f"{logprob:9.3f}  {continuation}" for continuation, logprob in weighed)
            found.append(Turn(role="log-likelihood", content=_cut(text)))
    return tuple(found)


def _turn(message: Message) -> Turn:
    return Turn(role=message.role, content=_cut(message.content))


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}… ({len(text) - MAX_CHARACTERS:,} more characters)"
