"""Which of several answers to a prompt is learnt. Needs no torch."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ullage.distill.rows import Row
from ullage.errors import InputError
from ullage.probes.normalise import canonical, numbers

VOTES = ("majority", "self-consistency")
"""Ways to choose that need nothing but the answers."""

Choose = Callable[[Row, Sequence[str]], int | None]
"""The place of the chosen answer among some, None where none will do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A way to choose."""

    name: str
    choose: Choose
    digest: str | None = None
    """Of a scorer's source file: another file makes another student."""


def selection(name: str, root: Path) -> Selection:
    """The way to choose that a recipe names.

    Args:
        name: one of `VOTES`, or ``module:function`` of a scorer.
        root: folder of the configuration, in which modules are looked for first.

    Raises:
        InputError: there is no such scorer.
    """
    if name == "majority":
        return Selection(name, lambda _, answers: vote([canonical(text) for text in answers]))
    if name == "self-consistency":
        return Selection(name, lambda _, answers: vote([outcome(text) for text in answers]))
    score = _scorer(name, root)
    source = inspect.getsourcefile(score)
    if source is None:
        raise InputError(f"distill.selection: '{name}' is not written in Python; wrap it in a def")
    digest = "sha256:" + hashlib.sha256(Path(source).read_bytes()).hexdigest()
    return Selection(name, lambda row, answers: _best(name, score, row, answers), digest)


def vote(ballots: Sequence[str]) -> int:
    """The first of those that are equal to most."""
    counts = Counter(ballots)
    # Of equals the one seen first, so that the order of samples alone decides.
    return max(range(len(ballots)), key=lambda place: (counts[ballots[place]], -place))


def outcome(text: str) -> str:
    """What an answer comes to: its last number; without one, all of it."""
    found = numbers(text)
    return f"{found[-1]:.12g}" if found else canonical(text)


def _best(name: str, score: Callable[..., Any], row: Row, answers: Sequence[str]) -> int | None:
    messages = [{"role": turn.role, "content": turn.content} for turn in row.prompt]
    scores: list[float] = []
    for answer in answers:
        try:
            found = score(messages, answer, row.reference)
        except Exception as error:
            raise InputError(
                f"distill.selection: {name} failed on corpus line {row.line} "
                f"({type(error).__name__}: {str(error)[:100]!r}); mend it and run the same command"
            ) from error
        if found is not None and (not isinstance(found, int | float) or math.isnan(found)):
            raise InputError(
                f"distill.selection: {name} gave {found!r:.50} for corpus line {row.line}; return "
                "a number, or None for an answer that will not do"
            )
        scores.append(-math.inf if found is None else float(found))
    best = max(range(len(scores)), key=lambda place: (scores[place], -place))
    return None if scores[best] == -math.inf else best


def _scorer(name: str, root: Path) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    if not module or not function:
        raise InputError(
            f"distill.selection: '{name}' is not {', '.join(VOTES)} or module:function; name one"
        )
    sys.path.insert(0, str(root))
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:
        raise InputError(
            f"distill.selection: '{module}' cannot be imported ({type(error).__name__}: "
            f"{str(error)[:100]!r}); put {module}.py beside the configuration or install it"
        ) from error
    finally:
        sys.path.remove(str(root))
    if not inspect.isfunction(found):
        raise InputError(
            f"distill.selection: '{module}' has no function '{function}'; write def {function}"
            "(messages, answer, reference) there, which returns a number or None"
        )
    return found
