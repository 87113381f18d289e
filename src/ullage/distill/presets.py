"""Methods: what each minimises where a recipe does not say, and why. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ullage.config.models import Distill, OnPolicy, Rationale
from ullage.config.objective import (
    Crossed,
    CrossEntropy,
    Divergence,
    Hidden,
    Jensen,
    Relation,
    Skewed,
    TermSettings,
)
from ullage.errors import InputError

Text = Literal["references", "answers"]
Alignment = Literal["tokens", "bytes"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A term of a preset, with the reason it is there."""

    term: TermSettings
    why: str


@dataclass(frozen=True, slots=True)
class Preset:
    """What a method stands for."""

    objective: tuple[Chosen, ...]
    text: Text
    """Whose words are read and learnt."""
    alignment: Alignment = "tokens"
    """Whether teacher and student read one tokenizer's tokens, or each its own."""
    on_policy: OnPolicy | None = None
    """Whether the student answers some prompts itself."""
    rationale: Rationale | None = None
    """Whether it learns the steps to an answer."""
    copies_teacher: bool = False
    """Whether the student is the whole teacher where neither `student` nor `layers` is given."""


_LOGITS = (
    Chosen(
        Divergence(term="forward-kl", weight=0.9),
        "covers everything the teacher might say, with one number per token of the vocabulary "
        "where text gives one per position",
    ),
    Chosen(
        CrossEntropy(term="cross-entropy", weight=0.1),
        "keeps the student on the references where the teacher is wrong",
    ),
)

PRESETS: dict[str, Preset] = {
    "logits": Preset(_LOGITS, text="references"),
    "black-box": Preset(
        (
            Chosen(
                CrossEntropy(term="cross-entropy"),
                "the teacher's words are all that is known of it",
            ),
        ),
        text="answers",
    ),
    "rationale": Preset(
        (
            Chosen(
                CrossEntropy(term="cross-entropy", name="answer", tokens="answer"),
                "what is asked for in the end",
            ),
            Chosen(
                CrossEntropy(term="cross-entropy", name="rationale", tokens="rationale"),
                "why the answer is what it is, which says more of the task than the answer does; "
                "a mean of its own, so that many words of steps do not drown the answer",
            ),
        ),
        text="references",
        rationale=Rationale(),
    ),
    "features": Preset(
        (
            *_LOGITS,
            Chosen(
                Hidden(term="hidden", weight=1.0),
                "shows a shallow student what the teacher made of the text on the way, at every "
                "layer; by direction, as sizes differ between layers and models",
            ),
        ),
        text="references",
    ),
    "relations": Preset(
        (
            *_LOGITS,
            Chosen(
                Relation(term="distances", weight=1.0),
                "which texts the teacher holds to be near each other; of any width, without a "
                "projection",
            ),
            Chosen(
                Relation(term="angles", weight=2.0),
                "the shape they form; twice the distances' weight, as in Park et al. 2019",
            ),
        ),
        text="references",
    ),
    "cross-tokenizer": Preset(
        (
            Chosen(
                Divergence(term="forward-kl", weight=0.5),
                "the teacher's distribution, over what both vocabularies can say next",
            ),
            Chosen(
                CrossEntropy(term="cross-entropy", weight=0.5),
                "the teacher's distribution is known only where both begin a word alike, and "
                "every other token has to be learnt too",
            ),
            Chosen(
                Crossed(term="merged-spans", weight=1.0),
                "how likely the teacher finds the words that one of the two needs several tokens "
                "for",
            ),
            Chosen(
                Crossed(term="ranked-rest", weight=0.1),
                "tokens without a counterpart, by rank alone; small, as ranks do not know what "
                "tokens say",
            ),
        ),
        text="references",
        alignment="bytes",
    ),
    "on-policy": Preset(
        (
            Chosen(
                Jensen(term="generalised-jsd"),
                "bounded, so that no odd word of the student's own can run away with the loss",
            ),
        ),
        text="references",
        on_policy=OnPolicy(),
    ),
    "specialise": Preset(
        (
            Chosen(
                CrossEntropy(term="cross-entropy", weight=0.5),
                "moves the copy towards the corpus",
            ),
            Chosen(
                Divergence(term="forward-kl", weight=0.5),
                "holds it to what the teacher would have said, so that less is forgotten (Li and "
                "Hoiem 2016, arXiv 1606.09282)",
            ),
        ),
        text="references",
        copies_teacher=True,
    ),
    "control": Preset(
        (
            Chosen(
                CrossEntropy(term="cross-entropy"),
                "plain fine-tuning: what the corpus alone would have taught",
            ),
        ),
        text="references",
    ),
}
"""By the name that `distill.method` gives."""


def terms(settings: Distill) -> tuple[TermSettings, ...]:
    """The terms of a recipe: its own, or its preset's with the settings that bear on them.

    Raises:
        InputError: a setting has nothing to bear on.
    """
    if settings.objective is not None:
        return tuple(_at(term, settings.temperature) for term in settings.objective)
    mixed = _mixed([one.term for one in PRESETS[settings.method].objective], settings)
    return tuple(_at(term, settings.temperature) for term in mixed)


def text(settings: Distill) -> Text:
    """Whose words a recipe reads and learns."""
    return settings.text or PRESETS[settings.method].text


def alignment(settings: Distill) -> Alignment:
    """How a recipe compares teacher and student."""
    return settings.alignment or PRESETS[settings.method].alignment


def on_policy(settings: Distill) -> OnPolicy | None:
    """How a recipe has the student answer some prompts itself, if it does."""
    return settings.on_policy or PRESETS[settings.method].on_policy


def rationale(settings: Distill) -> Rationale | None:
    """How a recipe has the student learn the steps to an answer, if it does."""
    return settings.rationale or PRESETS[settings.method].rationale


def reasons(settings: Distill) -> dict[str, str]:
    """Why each term is there, where a preset says so."""
    if settings.objective is not None:
        return {}
    return {one.term.called: one.why for one in PRESETS[settings.method].objective}


def _at(term: TermSettings, temperature: float) -> TermSettings:
    """A term with its temperature written out."""
    if not isinstance(term, Divergence | Jensen | Skewed) or term.temperature is not None:
        return term
    return term.model_copy(update={"temperature": temperature})


def _mixed(preset: Sequence[TermSettings], settings: Distill) -> list[TermSettings]:
    """A preset with the cross-entropy's weight as asked, and its divergence's the rest."""
    share = settings.cross_entropy
    if share is None:
        return list(preset)
    kinds = {Divergence: 1.0 - share, CrossEntropy: share}
    if not all(any(isinstance(term, kind) for term in preset) for kind in kinds):
        raise InputError(
            f"distill.cross_entropy: method {settings.method} does not mix cross-entropy with a "
            "divergence; leave it out, or write an objective"
        )
    return [
        term.model_copy(update={"weight": kinds[type(term)]}) if type(term) in kinds else term
        for term in preset
    ]
