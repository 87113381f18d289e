"""Corpora for `ullage distill`, with whatever a recipe leaves out left out.

A row is one conversation that ends with a question, and its reference: an exchange of several turns
gives a row for every reply it teaches. Where a recipe wants several questions a row, more about the
same desk follow on the first (`ullage.lab.talks`): a student that learns from every reply then gets
more to learn from each token it reads. Two corpora of one seed share their rows as far as their
recipes allow, so that they differ in what was left out and in what came in its stead.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ullage.config.problems import did_you_mean
from ullage.errors import InputError
from ullage.files import write_whole
from ullage.lab.questions import Question, questions
from ullage.lab.rounds import Asked, chance, rounds, ways
from ullage.lab.talks import Guests, further, joined, whole
from ullage.lab.world.desk import WHOLE, Bias
from ullage.lab.world.exchange import Split
from ullage.lab.world.registry import CAPABILITIES
from ullage.models.types import Message

DEFAULT_WEIGHTS: Mapping[str, float] = {
    "lookup": 3.0,
    "formats": 2.0,
    "memory": 1.5,
    "warehouse": 1.5,
    "counterfactual": 1.0,
    "distracting": 1.0,
    "contradictory": 1.0,
    "missing": 1.0,
    "missing-answerable": 1.0,
    "clarify": 1.0,
    "clarify-told": 1.0,
    "clarify-clear": 1.0,
    "sharded": 1.0,
    "sharded-before": 0.5,
    "sharded-whole": 0.5,
    "privacy": 1.0,
    "privacy-own": 1.0,
}
"""Parts (`ullage.lab.questions`) that a packaged probe can miss, and their shares of the rows."""

_TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRecipe:
    """What a corpus is made of, and what it leaves out."""

    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    """Part to its share of the rows, in any unit."""
    without: frozenset[str] = frozenset()
    """Parts to leave out: every row in which one is asked or has been answered before. The others
    are drawn more often, in their proportions, so that the number of rows stays."""
    keep: Callable[[Question], bool] = lambda question: True
    """Rows it is false for are left out, others of the same part are drawn in their stead."""
    bias: Bias = WHOLE
    """What the desks are restricted to."""
    wordings: int | None = None
    """Only so many wordings of each capability; None for all."""
    questions: int = 1
    """In each row. More suit methods that learn from every reply of a row: `logits`."""
    rewrite: Callable[[Question], str] = lambda question: question.reply
    """The reference of a row; its own reply unless something else is to be taught."""
    explain: Callable[[Question], str | None] = lambda question: None
    """The rationale of a row, where it is to have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What was written."""

    path: Path
    seed: int
    sha256: str
    rows: int
    parts: Mapping[str, int] = field(default_factory=dict)
    """Rows of each part, most first; a row of several questions belongs to its first."""
    families: int = 0


def write_corpus(path: Path, seed: int, size: int, recipe: CorpusRecipe | None = None) -> Corpus:
    """Write a corpus as JSONL, and say what is in it.

    Args:
        path: the file; an old one is replaced.
        seed: the same seed writes the same bytes.
        size: rows.
        recipe: the default mix where not given.

    Raises:
        InputError: if the recipe names an unknown part or leaves nothing, or the file cannot be
            written.
    """
    made = rows(seed, size, recipe or CorpusRecipe())
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made).encode()
    write_whole(path, data)
    return Corpus(
        path=path,
        seed=seed,
        sha256=hashlib.sha256(data).hexdigest(),
        rows=len(made),
        parts=dict(Counter(row["part"] for row in made).most_common()),
        families=len({row["family"] for row in made}),
    )


def rows(seed: int, size: int, recipe: CorpusRecipe) -> list[dict[str, Any]]:
    """The rows of a corpus, shuffled; no two have the same prompt.

    Raises:
        InputError: if the recipe names an unknown part or leaves nothing.
    """
    shares = _shares(recipe)
    made: list[dict[str, Any]] = []
    seen: set[tuple[Message, ...]] = set()
    for part, count in _quotas(shares, size).items():
        # A stream of its own, so that a part's rows do not hang on what else is in the corpus.
        made += islice(_rows(part, f"corpus/{seed}", recipe, seen), count)
    chance(f"corpus/{seed}").shuffle(made)
    return made


def known_parts() -> tuple[str, ...]:
    """Every part that a corpus can be made of."""
    return tuple(_parts(tuple(CAPABILITIES)))


class _Part(NamedTuple):
    """Where the questions of a part come from."""

    capability: str
    follows: frozenset[str]
    """Parts of the replies that stand before such a question."""


@cache
def _parts(capabilities: tuple[str, ...]) -> dict[str, _Part]:
    found: dict[str, _Part] = {}
    for name in capabilities:
        # Which parts there are hangs on the kind: a few exchanges hold all of them.
        for asked in islice(rounds(name, Split.DISTIL, "parts"), 48):
            for question in questions(asked.exchange):
                # Of a part's questions some have nothing before them; without those it has others.
                known = found.get(question.part, _Part(name, question.follows))
                found[question.part] = _Part(name, known.follows & question.follows)
    return found


def _shares(recipe: CorpusRecipe) -> dict[str, float]:
    known = _parts(tuple(CAPABILITIES))
    for part in (*recipe.weights, *recipe.without):
        if part not in known:
            raise InputError(f"corpus: no part '{part}'; {did_you_mean(part, known)}")
    if any(weight < 0 for weight in recipe.weights.values()):
        raise InputError("corpus: a weight is below 0; leave the part out instead")
    shares = {
        part: weight
        for part, weight in recipe.weights.items()
        if weight > 0 and part not in recipe.without and not known[part].follows & recipe.without
    }
    if not shares:
        raise InputError("corpus: nothing is left to write; leave out less")
    return shares


def _quotas(shares: Mapping[str, float], size: int) -> dict[str, int]:
    """Whole numbers in these proportions that add up to `size` (largest remainders)."""
    total = sum(shares.values())
    exact = {part: size * share / total for part, share in shares.items()}
    counts = {part: int(value) for part, value in exact.items()}
    by_remainder = sorted(exact, key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: size - sum(counts.values())]:
        counts[part] += 1
    return counts


def _rows(
    part: str, seed: str, recipe: CorpusRecipe, seen: set[tuple[Message, ...]]
) -> Iterator[dict[str, Any]]:
    """Rows of one part without end."""
    drawn: Counter[tuple[str, str]] = Counter()
    before: Question | None = None
    for asked, question in _wanted(part, f"{seed}/{part}", recipe):
        shown = _balanced(question, drawn)
        if recipe.questions > 1:
            shown = _talk(asked, shown, part, seed, recipe, drawn)
        elif shown.messages in seen and before is not None and not shown.exchange.context:
            # Questions without a desk are few: more of them follow on an earlier one.
            shown = _after(before, shown)
        if shown.messages in seen:
            continue
        seen.add(shown.messages)
        before = replace(question, reply=shown.reply)
        steps = recipe.explain(shown)
        yield {
            "messages": [{"role": turn.role, "content": turn.content} for turn in shown.messages],
            "reference": recipe.rewrite(shown),
            **({} if steps is None else {"rationale": steps}),
            "part": part,
            "family": question.family,
        }


def _wanted(part: str, seed: str, recipe: CorpusRecipe) -> Iterator[tuple[Asked, Question]]:
    stream = rounds(
        _parts(tuple(CAPABILITIES))[part].capability,
        Split.DISTIL,
        seed,
        bias=recipe.bias,
        only=recipe.wordings,
    )
    missed = 0
    for asked in stream:
        found = [
            question
            for question in questions(asked.exchange)
            if question.part == part and _is_wanted(question, recipe)
        ]
        missed = 0 if found else missed + 1
        if missed > _TRIES:
            raise InputError(
                f"corpus: none of {_TRIES} draws of '{part}' is to be kept; leave the part out"
            )
        yield from ((asked, question) for question in found)


def _is_wanted(question: Question, recipe: CorpusRecipe) -> bool:
    told = {question.part, *question.follows}
    return not told & recipe.without and recipe.keep(question)


def _talk(
    asked: Asked,
    question: Question,
    part: str,
    seed: str,
    recipe: CorpusRecipe,
    drawn: Counter[tuple[str, str]],
) -> Question:
    """The question, its exchange whole, and more about the same desk after it."""
    known = _parts(tuple(CAPABILITIES))

    def wanted(one: Question) -> bool:
        return _is_wanted(one, recipe)

    guests = Guests(
        weights={name: weight for name, weight in recipe.weights.items() if weight > 0},
        capability={name: one.capability for name, one in known.items()},
        wanted=wanted,
        bias=recipe.bias,
        ways=lambda name: ways(
            known[name].capability, Split.DISTIL, f"{seed}/{name}", recipe.wordings
        ),
    )
    # Of the exchange's own chance, so that the row does not hang on its place in the corpus.
    key = f"{seed}/{part}/{asked.draw.random()}"
    more = further(asked, part, guests, recipe.questions - 1, key)
    others = [_balanced(one, drawn) for one in more]
    return joined(whole(question, wanted), others, recipe.rewrite)


def _balanced(question: Question, drawn: Counter[tuple[str, str]]) -> Question:
    """Where chance decides the answer: the one that the odds owe most after those given so far.

    A corpus of independent draws would teach odds of its own, a tenth beside the true ones with two
    dozen rows an item.
    """
    exchange, kind = question.exchange, question.kind
    if not exchange.shares:
        return question
    given = sum(drawn[kind, choice] for choice in exchange.choices) + 1
    owed = {
        choice: share * given - drawn[kind, choice]
        for choice, share in zip(exchange.choices, exchange.shares, strict=True)
    }
    # Of equals the one that was drawn, so that no choice is favoured.
    reply = max(exchange.choices, key=lambda choice: (owed[choice], choice == question.reply))
    drawn[kind, reply] += 1
    return replace(question, reply=reply)


def _after(before: Question, question: Question) -> Question:
    """The question as a second one in a conversation."""
    said = (*before.messages, Message("assistant", before.reply))
    return replace(question, messages=(*said, *question.messages))
