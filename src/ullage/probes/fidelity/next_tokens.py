"""Next tokens: two distributions over one vocabulary, at every place of the teacher's text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ullage.models.types import Access, TokenLogprob, Weigh, user
from ullage.probes.fidelity.texts import TeacherText
from ullage.probes.protocol import Conversation, Item, Metric, ask, weigh
from ullage.stats.divergence import least_kl

TOP = 20
"""Tokens known at every place."""
MAX_KL = 2.0
"""Nats per token at which the divergence of a text is clipped: hardly a word is foreseen."""

OTHER_TOKENS = "other-tokens"
"""Column of items on which nothing is compared, since the vocabularies differ."""
TOUCHSTONE = (
    "Zo\u00eb's 1234567 counter-examples:\n\n\tfor (i=0; i<=2048; i++) {x[i] += 3.14159}  // "
    "unbelievably, na\u00efve \u65e5\u672c\u8a9e \u043f\u0440\u0438\u0432\u0435\u0442 \U0001f937"
)
"""Hardly two vocabularies cut this into the same tokens."""
_PARTIAL = "\ufffd"
"""What part of a character reads as: many tokens do."""


class NextTokens(TeacherText):
    """Both models' next tokens at every place of the teacher's text, where vocabularies are equal.

    KL(teacher || arm) per token: the least that the likeliest tokens of both allow. Vocabularies
    are equal if they cut a hard text, and the teacher's, into the same tokens. Others have no
    outcomes in common: nothing is measured, and `teacher-text` and `text-bits` compare those.
    """

    name = "next-tokens"
    stream = TeacherText.name
    access = frozenset({Access.TEXT, Access.WEIGH, Access.NEXT})
    gaps = MappingProxyType(
        {
            OTHER_TOKENS: "the vocabularies differ: the arms cut one text into different tokens, "
            "and so have no next tokens in common"
        }
    )
    instead = (
        "text-bits.difference or teacher-text.surprise, which count bytes (agreement.agreement "
        "where no text can be weighed)"
    )
    metrics = (
        Metric(
            name="kl",
            summary="What it would say next is further from what the teacher would.",
            higher_is_better=False,
            bounds=(0.0, MAX_KL),
            reference="Kullback and Leibler 1951, of the teacher from the arm, in nats per token "
            "of the teacher's text (as in Dutta et al. 2024, arXiv 2407.09141)",
        ),
        Metric(
            name="same-top",
            summary="Its likeliest next token is less often the teacher's.",
            reference="Stanton et al. 2021 (arXiv 2106.05945): top-1 agreement, per token",
        ),
    )

    def converse(self, item: Item) -> Conversation:
        """See whether vocabularies are equal, then weigh the teacher's text with both models."""
        spoken = yield from ask(self.spoken(item))
        if not spoken.text:
            return {}
        # The same for all items, so that each model is asked once.
        hard = Weigh(
            messages=(user("Copy the text."),),
            continuations=(TOUCHSTONE,),
            top=1,
            subject=self.subject(item),
        )
        places = []
        for request in (hard, replace(self.weighing(item, spoken.text), top=TOP)):
            own = yield from weigh(request)
            theirs = yield from weigh(replace(request, of="teacher"))
            places = list(zip(theirs.places[0], own.places[0], strict=False))
            tokens = ([place.token for place in each.places[0]] for each in (own, theirs))
            if len({tuple(each) for each in tokens}) > 1:
                return {OTHER_TOKENS: 1.0}
        if not places:
            return {}
        return {
            "kl": min(float(np.mean([divergence(t, own) for t, own in places])), MAX_KL),
            "same-top": float(np.mean([_likeliest(t) == _likeliest(own) for t, own in places])),
        }


def divergence(teacher: TokenLogprob, own: TokenLogprob) -> float:
    """The least KL of the teacher from the arm at one place that the likeliest tokens allow."""
    theirs, ours = _told(teacher), _told(own)
    # Two tokens that read alike cannot be told apart, and parts of characters all do.
    doubtful = {
        token
        for pairs in (theirs, ours)
        for token, count in Counter(token for token, _ in pairs).items()
        if count > 1 or _PARTIAL in token
    }
    first, second = (
        {token: logprob for token, logprob in pairs if token not in doubtful}
        for pairs in (theirs, ours)
    )
    return least_kl(first, second, own.top[-1][1])


def _told(place: TokenLogprob) -> set[tuple[str, float]]:
    """What is told of a place: the likeliest tokens, and the one that comes."""
    return {*place.top, (place.token, place.logprob)}


def _likeliest(place: TokenLogprob) -> str:
    """The likeliest token, by what it reads."""
    return place.top[0][0]
