"""Packaged probes broken on purpose, each in one way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ullage.models.types import Ask, Sample, Weigh
from ullage.probes.protocol import Conversation, Item, Probe

Scores = Mapping[str, float]


class Broken(Probe):
    """A probe that does as another one does, but for what is broken."""

    def __init__(self, probe: Probe) -> None:
        self.inner = probe
        self.name = probe.name
        self.dimension = probe.dimension
        self.access = probe.access
        self.metrics = probe.metrics

    def items(self, seed: int) -> Iterator[Item]:
        return self.inner.items(seed)

    def converse(self, item: Item) -> Conversation:
        return self.inner.converse(item)


class OtherScores(Broken):
    """Its scores pass through a function of item and scores."""

    def __init__(self, probe: Probe, change: Callable[[Probe, Item, Scores], Scores]) -> None:
        super().__init__(probe)
        self.change = change

    def converse(self, item: Item) -> Conversation:
        scores = yield from self.inner.converse(item)
        return self.change(self.inner, item, scores)


def constant(probe: Probe) -> Probe:
    """Says the same whatever it hears."""
    return OtherScores(probe, lambda probe, item, scores: dict.fromkeys(scores, 0.5))


def turned_round(probe: Probe) -> Probe:
    """Takes better for worse."""
    broken = Broken(probe)
    broken.metrics = tuple(
        replace(metric, higher_is_better=not metric.higher_is_better) for metric in probe.metrics
    )
    return broken


def generous(probe: Probe) -> Probe:
    """Gives the best score on every third item, whatever was said."""

    def change(probe: Probe, item: Item, scores: Scores) -> Scores:
        if hashlib.sha256(item.id.encode()).digest()[0] % 3:
            return scores
        best = dict(scores)
        for metric in probe.metrics:
            if metric.functional is None:
                best[metric.source_columns[0]] = metric.bounds[int(metric.higher_is_better)]
            else:  # sure, and right
                best |= dict.fromkeys(metric.source_columns, 1.0)
        return best

    return OtherScores(probe, change)


def swapped(probe: Probe) -> Probe:
    """Files each column's score under the next one's name."""

    def change(probe: Probe, item: Item, scores: Scores) -> Scores:
        names = list(scores)
        # A score outside another column's bounds would be refused, which is too easy to see.
        return {
            name: min(max(scores[other], 0.0), 1.0)
            for name, other in zip(names, [*names[1:], names[0]], strict=True)
        }

    return OtherScores(probe, change)


class WrongKey(Broken):
    """Holds replies against an answer key that is wrong on every third item."""

    def converse(self, item: Item) -> Conversation:
        if hashlib.sha256(item.id.encode()).digest()[0] % 3 or not item.wrong:
            return (yield from self.inner.converse(item))
        inner = self.inner.converse(wrongly_keyed(item))
        reply: Any = None
        while True:
            try:
                request = next(inner) if reply is None else inner.send(reply)
            except StopIteration as stop:
                scores: Scores = stop.value
                return scores
            reply = yield self.knowing(request, item)

    def knowing(self, request: Ask | Sample | Weigh, item: Item) -> Ask | Sample | Weigh:
        """The request to a model that knows the right answer all the same."""
        known = (item.answer, item.wrong)
        if "answers" in item.data:  # one a request: turned back as they were turned
            known = (request.subject.wrong, request.subject.answer)
        subject = replace(request.subject, answer=known[0], wrong=known[1])
        return replace(request, subject=subject)


def wrongly_keyed(item: Item) -> Item:
    """The item with right and wrong in each other's place, wherever the probe keeps them."""
    data = dict(item.data)
    if "answers" in data:
        data |= {"answers": data["wrong"], "wrong": data["answers"]}
    if "supported" in data:
        data |= {"supported": data["contradicted"], "contradicted": data["supported"]}
    return replace(item, answer=item.wrong, wrong=item.answer, data=data)
