"""Claims: what a longer reply says, claim by claim, held against the text it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw
from ullage.probes.grounding.conditions import claims_more, told
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import FAMILIES, prompt, scene, sibling, write
from ullage.probes.scoring import mentions

_ALL = "Answer briefly but in full, and add nothing."
_FACTS = 3


@dataclass(frozen=True, slots=True)
class Checked:
    """How many claims of a reply are of which kind."""

    supported: int
    contradicted: int
    """The text says otherwise of it, or says this of something else."""
    invented: int
    """The text does not speak of it."""

    @property
    def precision(self) -> float:
        """Share of claims that the text supports; 0 where nothing is claimed."""
        return self.supported / max(1, self.supported + self.contradicted + self.invented)


class Claims(PackagedProbe):
    """All that a text says about one of two things, in sentences that a rule takes apart."""

    name = "grounding-claims"
    dimension = Dimension.GROUNDING
    families = FAMILIES
    max_tokens = 64
    example = (
        '{"context": "Order 17 was sent with Velox. It holds a lamp. Order 18 went with Kurio.", '
        '"question": "What does the text say about order 17?", "supported": ["Velox", "lamp"], '
        '"contradicted": ["Kurio"], "invented": ["card", "invoice"], '
        '"answer": "Order 17 was sent with Velox and holds a lamp."}'
    )
    metrics = (
        Metric(
            name="f1",
            summary="Its longer replies say less of what the text says, or more than it says.",
            reference="Wei et al. 2024 (arXiv 2403.18802): F1@K, K facts in the text",
        ),
        Metric(
            name="covers",
            summary="It leaves out more of what the text says.",
            reference="Wei et al. 2024 (arXiv 2403.18802): recall at K",
        ),
        Metric(
            name="contradicted",
            summary="More of its longer replies say something that the text has otherwise.",
            higher_is_better=False,
            reference="Maynez et al. 2020 (arXiv 2005.00661): intrinsic hallucination",
        ),
        Metric(
            name="invented",
            summary="More of its longer replies say something that the text does not speak of.",
            higher_is_better=False,
            reference="Maynez et al. 2020 (arXiv 2005.00661): extrinsic hallucination",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """Three facts about one thing and two about another, of which one is of the same kind."""
        place = scene(draw)
        attributes = draw.some(place.domain.attributes, _FACTS + 1)
        facts = place.facts(attributes[:_FACTS])
        held = [value for _, value in facts]
        shared, absent = facts[0][0], attributes[_FACTS]
        theirs = [
            (shared, place.other(shared, set(held))),
            (facts[1][0], place.other(facts[1][0], set(held))),
        ]
        told = [(place.entity, facts), (sibling(place), theirs)]
        wrong = [facts[2], theirs[0], (absent, place.other(absent, set(held)))]
        told_of = [attribute for attribute, _ in facts]
        return _item(
            prompt(
                write(told if draw.below(2) else told[::-1], place.style),
                f"What does the text say about {place.entity}?",
                _ALL,
            ),
            answer=write([(place.entity, facts)], 0),
            wrong=write([(place.entity, wrong)], 0),
            supported=held,
            contradicted=[v for a in told_of for v in a.values if v not in held],
            invented=[v for a in place.domain.attributes if a not in told_of for v in a.values],
        )

    def read(self, record: Record) -> Item:
        """A `context`, a `question` for all it says, and words that give claims away.

        One word or phrase for each fact in `supported`; in `contradicted` what would go against the
        text, in `invented` what it does not speak of. A right reply as `answer`.
        """
        supported, contradicted, invented = (
            record.texts(key, least=least)
            for key, least in (("supported", 1), ("contradicted", 0), ("invented", 0))
        )
        if twice := {*supported} & {*contradicted, *invented} or {*contradicted} & {*invented}:
            record.refuse(f"'{min(twice)}' is in two lists; a claim is of one kind")
        item = _item(
            prompt(record.text("context"), record.text("question"), record.instruction(_ALL)),
            answer=record.text("answer", ", ".join(supported)),
            wrong=record.text("wrong", ", ".join((*contradicted, *invented))),
            supported=supported,
            contradicted=contradicted,
            invented=invented,
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask once; take the reply apart."""
        reply = yield from ask(self.put(item))
        found = check(reply.text, told(item), item.data)
        covers = found.supported / len(item.data["supported"])
        both = found.precision + covers
        return {
            "f1": 2 * found.precision * covers / both if both else 0.0,
            "covers": covers,
            "contradicted": float(found.contradicted > 0),
            "invented": float(found.invented > 0),
        }


def check(text: str, asked: str, data: Mapping[str, Any]) -> Checked:
    """Every claim of a reply.

    A claim is a value from one of the lists, found as whole words (the longest first). A number or
    a name that neither list nor prompt holds is one invention.
    """
    kinds = ("supported", "contradicted", "invented")
    named = mentions(text, [value for kind in kinds for value in data[kind]])
    ends = [len(data["supported"]), len(data["supported"]) + len(data["contradicted"])]
    supported = sum(index < ends[0] for index in named)
    contradicted = sum(ends[0] <= index < ends[1] for index in named)
    known = " ".join([asked, *(value for kind in kinds for value in data[kind])])
    invented = len(named) - supported - contradicted
    return Checked(supported, contradicted, invented + claims_more(text, known))


def _item(
    text: str,
    *,
    answer: str,
    wrong: str,
    supported: Sequence[str],
    contradicted: Sequence[str],
    invented: Sequence[str],
) -> Item:
    lists = {"supported": supported, "contradicted": contradicted, "invented": invented}
    return drawn(
        text,
        answer=answer,
        wrong=wrong,
        data={kind: list(values) for kind, values in lists.items()},
    )
