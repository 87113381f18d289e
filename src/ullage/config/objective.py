"""What a student minimises, as a user writes it: named terms, each with a weight.

Formulas and sources are in `docs/methods/`; the arithmetic is in `ullage.distill.divergences`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from ullage.config.base import Share, Slug, Strict

Temperature = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Between = Annotated[float, Field(gt=0.0, lt=1.0)]


class Ramp(Strict):
    """A weight that goes from one value to another while training."""

    start: NonNegativeFloat
    """Until the first share of `over`."""
    end: NonNegativeFloat
    """From the last share of `over`."""
    over: tuple[Share, Share] = (0.0, 1.0)
    """Shares of all steps between which it moves."""
    shape: Literal["linear", "cosine"] = "linear"
    """`cosine` leaves and arrives slowly."""

    @model_validator(mode="after")
    def _goes_forward(self) -> Self:
        if not self.over[0] < self.over[1]:
            raise ValueError(
                f"over: [{self.over[0]:g}, {self.over[1]:g}] is no stretch; "
                "give two shares of the steps, ascending"
            )
        return self


class Term(Strict):
    """What all terms have in common."""

    name: Slug | None = None
    """In ledgers and on screens; left out, the term's own, with `_` for `-`."""
    weight: NonNegativeFloat | Ramp = 1.0
    """In the sum. A term of weight 0 is computed and reported, and moves nothing."""

    @property
    def called(self) -> str:
        """Its name."""
        kind: str = getattr(self, "term")  # noqa: B009 - every subclass has one
        return self.name or kind.replace("-", "_")


class Outer(Term):
    """A term on what the models say, token by token."""

    tokens: Literal["all", "answer", "rationale"] = "all"
    """Supervised tokens it is the mean over. `rationale`: those that show how the answer is come by
    (`distill.rationale`); `answer`: the others."""


class CrossEntropy(Outer):
    """−log of the next token of the text."""

    term: Literal["cross-entropy"]
    """On the references or the teacher's answers, as `text` says."""


class Divergence(Outer):
    """How far the student's next-token distribution is from the teacher's."""

    term: Literal["forward-kl", "reverse-kl", "total-variation"]
    """`forward-kl` covers all that the teacher might say, `reverse-kl` what it is likeliest to;
    `total-variation` counts differences of probability as they are."""
    temperature: Temperature | None = None
    """Of both softmaxes, made up for in the loss; left out, `distill.temperature`."""


class Jensen(Outer):
    """A bounded divergence between the two KLs."""

    term: Literal["generalised-jsd"]
    """Agarwal et al. 2024, arXiv 2306.13649."""
    temperature: Temperature | None = None
    """Of both softmaxes, made up for in the loss; left out, `distill.temperature`."""
    beta: Between = 0.5
    """Weight of the teacher in the mixture: near 0 like forward KL, near 1 like reverse KL."""


class Skewed(Outer):
    """A KL to a mixture of the two, without the other's infinities."""

    term: Literal["skewed-kl", "skewed-reverse-kl"]
    """Ko et al. 2024, arXiv 2402.03898."""
    temperature: Temperature | None = None
    """Of both softmaxes, made up for in the loss; left out, `distill.temperature`."""
    alpha: Between = 0.1
    """The skew: near 0 like the KL it is named after."""


class Crossed(Term):
    """What only teacher and student with different tokenizers have to compare."""

    term: Literal["merged-spans", "ranked-rest"]
    """For `alignment: bytes`: the probabilities of words that one of the two needs several tokens
    for; the tokens that the other has no words for, likeliest against likeliest."""


LayerMap = (
    Literal["uniform", "last"]
    | Annotated[tuple[tuple[NonNegativeInt, NonNegativeInt], ...], Field(min_length=1)]
)
"""[student layer, teacher layer] pairs counted from 0, or a rule."""


class Hidden(Term):
    """How far the student's states are from the teacher's, position by position."""

    term: Literal["hidden"]
    """After the layers of `layers`."""
    distance: Literal["mse", "cosine"] = "cosine"
    """`mse` of states as they are; `cosine` of their directions alone."""
    layers: LayerMap = "uniform"
    """`[[student, teacher], ...]` from 0; `uniform`: every student layer with the teacher's at the
    same share of the depth; `last`: the last with the last."""
    projection: Literal["learnt", "none"] | None = None
    """A linear map from the student's width to the teacher's, trained beside the student and then
    left behind; left out, learnt where the widths differ."""


class Attention(Term):
    """KL from the teacher's attention maps to the student's."""

    term: Literal["attention"]
    """At the supervised positions."""
    layers: LayerMap = "last"
    """As for `hidden`."""
    heads: Literal["each", "mean"] = "each"
    """`each` head with its like, which takes as many of them in both; or their means."""


class Relation(Term):
    """How the sequences of a batch lie to each other, each one the mean of its states."""

    term: Literal["distances", "angles", "similarity"]
    """Of pairs; of triples (Park et al. 2019, arXiv 1904.05068); matrices of inner products (Tung
    and Mori 2019, arXiv 1907.09682). Any widths will do."""
    layers: LayerMap = "last"
    """As for `hidden`."""


OuterSettings = CrossEntropy | Divergence | Jensen | Skewed | Crossed
"""Terms on what the models say."""

InnerSettings = Hidden | Attention | Relation
"""Terms on what goes on inside the models, which take the teacher's weights."""

TermSettings = Annotated[
    CrossEntropy | Divergence | Jensen | Skewed | Crossed | Hidden | Attention | Relation,
    Field(discriminator="term"),
]
"""Any term."""
