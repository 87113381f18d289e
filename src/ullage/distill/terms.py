"""From terms as a recipe writes them to terms that can be computed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ullage.config.objective import (
    Crossed,
    CrossEntropy,
    InnerSettings,
    Jensen,
    OuterSettings,
    Ramp,
    Skewed,
    TermSettings,
)
from ullage.distill import divergences
from ullage.distill.inner import build_inner
from ullage.distill.objectives import (
    InnerTerm,
    Objective,
    Schedule,
    Term,
    cross_entropy_term,
    divergence_term,
    merged_term,
    ranked_term,
)
from ullage.distill.signals import eaten

_DIVERGENCES: dict[str, divergences.Divergence] = {
    "forward-kl": divergences.forward_kl,
    "reverse-kl": divergences.reverse_kl,
    "total-variation": divergences.total_variation,
    "generalised-jsd": divergences.generalised_jsd,
    "skewed-kl": divergences.skewed_kl,
    "skewed-reverse-kl": divergences.skewed_reverse_kl,
}
_CROSSED = {"merged-spans": merged_term, "ranked-rest": ranked_term}


def build_objective(
    terms: Sequence[TermSettings], *, answers: bool = False, models: tuple[Any, Any] | None = None
) -> Objective:
    """The objective of a recipe.

    Args:
        terms: with temperatures written out (`ullage.distill.presets.terms`).
        answers: whether the text is the teacher's own.
        models: student and teacher, where some term looks inside them.

    Raises:
        InputError: their architectures do not allow a term.
    """
    outer, inner = [], []
    for term in terms:
        if isinstance(term, InnerSettings):
            if models is None:
                raise ValueError(f"{term.called} looks inside the models, and there are none")
            inner.append(_inner(term, *models))
        else:
            outer.append(_term(term, answers))
    return Objective(tuple(outer), tuple(inner))


def _inner(term: InnerSettings, student: Any, teacher: Any) -> InnerTerm:
    signal = eaten(term, answers=False)
    assert signal is not None  # noqa: S101 - nothing inside is had without the teacher
    return InnerTerm(term.called, _weight(term.weight), signal, build_inner(term, student, teacher))


def _term(term: OuterSettings, answers: bool) -> Term:
    weight = _weight(term.weight)
    if isinstance(term, CrossEntropy):
        return cross_entropy_term(weight, eaten(term, answers=answers), term.called, term.tokens)
    if isinstance(term, Crossed):
        return _CROSSED[term.term](weight, term.called)
    assert term.temperature is not None  # noqa: S101 - written out by presets
    divergence: Any = _DIVERGENCES[term.term]
    if isinstance(term, Jensen):
        divergence = partial(divergence, beta=term.beta)
    elif isinstance(term, Skewed):
        divergence = partial(divergence, alpha=term.alpha)
    return divergence_term(term.called, divergence, weight, term.temperature, term.tokens)


def _weight(weight: float | Ramp) -> float | Schedule:
    if isinstance(weight, Ramp):
        return Schedule(weight.start, weight.end, weight.over, weight.shape)
    return weight
