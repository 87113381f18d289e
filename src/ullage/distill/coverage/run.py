"""From a configuration, and a file of traffic if there is one, to a coverage report."""

# ruff: noqa: N803, N806 - arrays carry their shape as a suffix

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ullage.config.models import Config
from ullage.distill.corpus import prepare
from ullage.distill.coverage.distance import Floats, Vectors, nearest, vectors
from ullage.distill.coverage.report import Cluster, Coverage, Exercise
from ullage.distill.recipe import resolve_recipe
from ullage.distill.rows import Row, read_rows
from ullage.distill.run import audit_items
from ullage.errors import InputError
from ullage.models.types import Message
from ullage.probes.detect import is_abstention, is_clarification, is_refusal
from ullage.probes.protocol import Item, Probe
from ullage.probes.registry import resolve

ITEMS = 200
"""Of each probe: enough to meet all of its families."""

_QUANTILE = 0.95
_SAMPLE = 1_000
"""Prompts whose distance to their nearest neighbour sets the radius."""
_CLUSTERS = 5
_EXAMPLES = 3
_WORDS = 6


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt to learn from: what is asked, and what is to be said."""

    asked: str
    reply: str | None


def run_coverage(
    config: Config, root: Path, *, traffic: Path | None = None, radius: float | None = None
) -> Coverage:
    """How much of what will be asked lies near a prompt of ``config.distill.corpus``.

    Args:
        config: a whole configuration; its probes say what the student is for.
        root: folder its relative paths are relative to.
        traffic: conversations as `read_rows` takes them, each line one question of traffic: what
            is asked twice counts twice. Left out: the audit's own items.
        radius: distance (0 to 1) up to which a question is covered. Left out: what 95 % of the
            prompts have to their nearest fellow, so that traffic is called far where it lies
            farther out than nearly all of the corpus lies from itself.

    Raises:
        InputError: there is no recipe, or corpus or traffic cannot be read.
    """
    recipe = resolve_recipe(config, root)
    corpus = prepare(
        recipe.paths.corpus,
        held_out=0.0,
        audit_items=audit_items(config, root),
        needs_reference=not recipe.asks_answers,
        near_duplicates=recipe.settings.near_duplicates,
    )
    turns = [
        turn for row in corpus.train for turn in learnt_turns(row, every=not recipe.asks_answers)
    ]
    probes = resolve(config, root)
    items = {name: _items(probe, config.seed) for name, probe in probes.items()}
    if traffic is None:
        questions = [question(item.messages) for found in items.values() for item in found]
    else:
        questions = [question(row.prompt) for row in read_rows(traffic)[0]]
    if not questions:
        raise InputError("coverage: the scenario asks nothing; give a file with --traffic")
    prompts = list(dict.fromkeys(turn.asked for turn in turns))
    asked = Counter(questions)
    space = _Space(prompts, list(asked), items)
    chosen = space.usual() if radius is None else radius
    far_N = space.distances() > chosen
    mass_N = np.array(list(asked.values())) / len(questions)
    return Coverage(
        traffic="audit items" if traffic is None else traffic.name,
        questions=len(questions),
        prompts=len(turns),
        radius=round(chosen, 4),
        radius_from="given"
        if radius is not None
        else f"{_QUANTILE:.0%} of the prompts have another as near",
        uncovered=round(float(mass_N[far_N].sum()), 4),
        clusters=space.clusters(far_N, mass_N, chosen),
        exercises=_exercises(probes, items, turns, space.near(turns, chosen)),
    )


def question(messages: Sequence[Message]) -> str:
    """What a conversation asks last."""
    return next(message.content for message in reversed(messages) if message.role == "user")


def learnt_turns(row: Row, *, every: bool) -> list[Turn]:
    """A row's prompts: its last, and where every reply is learnt, those before.

    Args:
        row: one conversation.
        every: whether earlier replies are learnt, as `logits` does; otherwise the reply is the
            teacher's, and not known yet.
    """
    if not every:
        return [Turn(question(row.prompt), None)]
    return [
        Turn(one.content, other.content)
        for one, other in itertools.pairwise(row.messages)
        if one.role == "user" and other.role == "assistant"
    ]


class _Space:
    """Prompts, traffic and items in one space of terms."""

    def __init__(
        self,
        prompts: Sequence[str],
        questions: Sequence[str],
        items: Mapping[str, Sequence[Item]],
    ) -> None:
        texts = {name: [question(item.messages) for item in found] for name, found in items.items()}
        every = [*prompts, *questions, *itertools.chain.from_iterable(texts.values())]
        whole, self._terms = vectors(every)
        bounds = np.cumsum([0, len(prompts), len(questions), *map(len, texts.values())])
        parts = [whole[start:stop] for start, stop in itertools.pairwise(bounds)]
        self._prompts: Vectors = parts[0]
        self._questions: Vectors = parts[1]
        self._items = dict(zip(texts, parts[2:], strict=True))
        self._row_of = {text: row for row, text in enumerate(prompts)}
        self._texts = list(questions)

    def usual(self) -> float:
        """The distance that nearly all prompts have to their nearest fellow at most."""
        count = self._prompts.shape[0]
        chosen = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64))
        apart = nearest(self._prompts[chosen], self._prompts, but=chosen)
        return float(np.quantile(apart, _QUANTILE))

    def distances(self) -> Floats:
        """Of each question of traffic to the nearest prompt."""
        return nearest(self._questions, self._prompts)

    def near(self, turns: Iterable[Turn], radius: float) -> dict[str, int]:
        """Per probe: turns to learn within the radius of one of its items."""
        rows = [self._row_of[turn.asked] for turn in turns]
        return {
            name: int((nearest(self._prompts, found)[rows] <= radius).sum())
            for name, found in self._items.items()
        }

    def clusters(
        self, far_N: np.ndarray[tuple[int], np.dtype[np.bool_]], mass_N: Floats, radius: float
    ) -> tuple[Cluster, ...]:
        """The largest groups of far questions: each within the radius of its leader.

        Leaders are taken in order of how much still ungrouped mass lies around them.
        """
        rows = np.flatnonzero(far_N)
        far = self._questions[rows]
        together = (far @ far.T).toarray() >= 1 - radius
        np.fill_diagonal(together, val=True)
        free = np.ones(len(rows), dtype=bool)
        found: list[Cluster] = []
        while free.any() and len(found) < _CLUSTERS:
            around = together @ (mass_N[rows] * free) * free
            members = np.flatnonzero(together[int(np.argmax(around))] & free)
            free[members] = False
            found.append(self._cluster(rows[members], mass_N))
        return tuple(sorted(found, key=lambda one: -one.share))

    def _cluster(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]], mass_N: Floats) -> Cluster:
        heaviest = rows[np.argsort(-mass_N[rows], kind="stable")]
        weights = np.asarray(self._questions[rows].sum(axis=0)).ravel()
        return Cluster(
            share=round(float(mass_N[rows].sum()), 4),
            questions=len(rows),
            words=tuple(
                self._terms[one]
                for one in np.argsort(-weights, kind="stable")[:_WORDS]
                if weights[one] > 0
            ),
            examples=tuple(self._texts[row] for row in heaviest[:_EXAMPLES]),
        )


def _items(probe: Probe, seed: int) -> list[Item]:
    return list(itertools.islice(probe.items(seed), ITEMS))


def _exercises(
    probes: Mapping[str, Probe],
    items: Mapping[str, Sequence[Item]],
    turns: Sequence[Turn],
    near: Mapping[str, int],
) -> tuple[Exercise, ...]:
    known = [turn for turn in turns if turn.reply is not None]
    shown = Counter(behaviour(turn) for turn in known)
    return tuple(
        Exercise(
            probe=name,
            dimension=str(probe.dimension),
            near=near[name],
            behaviours={
                expected: shown[expected] if known else None
                for expected in sorted({item.expects for item in items[name]})
            },
        )
        for name, probe in probes.items()
    )


def behaviour(turn: Turn) -> str:
    """What a reply does, as the audit's detectors see it."""
    reply = turn.reply or ""
    if is_clarification(reply, turn.asked):
        return "clarify"
    if is_refusal(reply):
        return "refuse"
    return "abstain" if is_abstention(reply) else "answer"
