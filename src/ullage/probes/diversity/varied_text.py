"""Varied text: one open request, asked several times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.knowledge import CATEGORIES, with_article
from ullage.probes.normalise import plain
from ullage.probes.open_prompts import three
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, sample
from ullage.probes.scoring import is_echo
from ullage.stats.diversity import clusters, distinct, kernel, self_bleu, vendi

SAMPLES = 6
LENGTH = 10
"""Words of a reply that are compared; a shorter reply does not do what was asked."""
_READ = 60
"""Words of a reply that are looked at to tell whether it is a sentence."""
_LINKED = 0.5
"""Cosine of content words from which two replies are one idea."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a about across after again against all along also always an and another any are around "
        "as at away be because been before behind being between but by can could did do does down "
        "during each every for from had has have he her here him his how i if in inside into is "
        "it its just like many more most my near never no nobody not now of off on once one only "
        "or other our out over per she should since so some somebody such than that the their "
        "them then there these they this those though through to too toward towards under until "
        "up upon very was we were what when where whether which while who whose why will with "
        "within without would yet you your",
    )
)
_TOPICS: dict[str, tuple[str, ...]] = {
    name.split()[-1]: tuple(word for word in CATEGORIES[name] if not word.endswith("s"))
    for name in ("animal", "fruit", "tool", "vehicle", "piece of furniture", "musical instrument")
}
_FORMS = (
    "Write one sentence of at least twelve words about {name} and {thing} in {city}.",
    "Make up a sentence of twelve words or more in which {name} from {city} comes upon {thing}.",
    "How might a story about {name}, {thing} and the city of {city} begin? Write its first "
    "sentence, with at least twelve words.",
    "Write a sentence, at least twelve words long, that somebody in {city} could say about {name} "
    "and {thing}.",
    "{name} lives in {city} and thinks of {thing}. Describe the scene in one sentence of at least "
    "twelve words, with {name} in it.",
    "Imagine {name} on a day out in {city}, and {thing}. Write one long sentence about both, of "
    "at least twelve words.",
    "Write the last sentence of a story about {name} from {city} and {thing}. Use at least twelve "
    "words.",
    "A newspaper in {city} writes about {name} and {thing}. Give one sentence of the report, of "
    "at least twelve words.",
)
_WAYS = (
    "Early in spring {name} noticed the old {noun} beside a quiet road near {city}.",
    "Nobody knew why {name} spoke about that {noun} so often while visiting {city}.",
    "After breakfast {name} drew one {noun} with bright colours and sent it to {city}.",
    "When rain began, {name} remembered this {noun} from an earlier summer spent in {city}.",
    "For many years {name} had dreamt of another {noun} like those seen around {city}.",
    "Yesterday morning my neighbour {name} photographed every {noun} before leaving for {city}.",
    "Somebody asked {name} whether any {noun} could still be found outside {city}.",
    "Books by {name} always begin when some {noun} gets lost on its way to {city}.",
)
"""Replies that score full marks. No two share a pair of neighbouring words among the first
`LENGTH`, so that what a set of them scores follows from how often each comes."""


class VariedText(PackagedProbe):
    """One sentence about a person and a thing, written several times, cut to one length.

    A sample that is no sentence about both counts as one more copy of the first one that is: random
    words, silence and echoes add nothing.
    """

    name = "varied-text"
    dimension = Dimension.DIVERSITY
    families = tuple(f"{topic}:t{form}" for topic in _TOPICS for form in range(len(_FORMS)))
    max_tokens = 40
    example: ClassVar[str] = (
        '{"prompt": "Write one sentence of at least twelve words about Mara and a lamp.", '
        '"words": ["Mara", "lamp"]}'
    )
    metrics = (
        Metric(
            name="distinct-2",
            summary="It repeats itself: fewer different pairs of words when asked again.",
            reference="Li et al. 2016 (arXiv 1510.03055), section 5.2, at equal n and length",
        ),
        Metric(
            name="self-bleu",
            summary="Asked again, it says something closer to what it said before.",
            higher_is_better=False,
            reference="Zhu et al. 2018 (arXiv 1802.01886); BLEU-4, smoothing 1",
        ),
        Metric(
            name="vendi",
            summary="It has effectively fewer different replies to one request.",
            bounds=(0.0, float(SAMPLES)),
            reference="Friedman and Dieng 2023 (arXiv 2210.02410), definition 3.1; bigram cosine",
        ),
        Metric(
            name="clusters",
            summary="Its replies to one request turn around fewer different ideas.",
            bounds=(0.0, float(SAMPLES)),
            reference="after Kuhn et al. 2023 (arXiv 2302.09664), linked by shared content words",
        ),
        Metric(name="on-topic", summary="Fewer samples are a sentence about what was asked."),
    )

    def make(self, draw: Draw) -> Item:
        """A sentence about a person and a thing in a city."""
        topic, form = divmod(draw.family, len(_FORMS))
        nouns = tuple(_TOPICS.values())[topic]
        noun, name, city = three(draw, nouns)
        told = {"name": name, "noun": noun, "city": city}
        ways = tuple(way.format(**told) for way in _WAYS)
        return drawn(
            _FORMS[form].format(thing=with_article(noun), **told),
            answer=ways[0],
            wrong="I like it very much.",
            ways=ways[1:],
            data={"words": [name, noun]},
        )

    def read(self, record: Record) -> Item:
        """An open `prompt`, and the `words` that every fit reply holds (`Mara` or `Mara's`)."""
        words = record.texts("words", least=1)
        item = drawn(record.messages(), data={"words": list(words)})
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Sample, keep what does what was asked, compare."""
        replies = yield from sample(self.samples(item, SAMPLES))
        texts = [words(reply.text) for reply in replies]
        fit = [
            text[:LENGTH]
            for text, reply in zip(texts, replies, strict=True)
            if is_fit(text, item.data["words"])
            and not is_echo(reply.text, item.messages[-1].content)
        ]
        scores = {"distinct-2": 0.0, "self-bleu": 1.0, "vendi": 0.0, "clusters": 0.0}
        if fit:
            scores = variety(fit + fit[:1] * (SAMPLES - len(fit)), item.data["words"])
        return {**scores, "on-topic": len(fit) / SAMPLES}


def variety(texts: Sequence[Sequence[str]], asked: Sequence[str]) -> dict[str, float]:
    """The measures of a set of texts of one length; `asked` are words that all of them hold."""
    given = _FUNCTION_WORDS | {word.casefold() for word in asked}
    # A text of nothing else is compared by all its words.
    content = [[word for word in text if word not in given] or text for text in texts]
    return {
        "distinct-2": distinct(texts, 2),
        "self-bleu": self_bleu(texts),
        "vendi": vendi(kernel(texts, 2)),
        "clusters": float(clusters(kernel(content, 1), _LINKED)),
    }


def words(text: str) -> list[str]:
    """The first words of a reply, in lower case, without punctuation."""
    return [found.group() for found in _WORD.finditer(plain(text).casefold())][:_READ]


def is_fit(text: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether words are a sentence about what was asked, as far as a rule can tell.

    It is long enough and holds the words asked for (a plural or a genitive will do), a fifth of it
    are the small words that English cannot do without, and no loop fills it.
    """
    if len(text) < LENGTH or len(set(text)) < len(text) / 2:
        return False
    forms = {word.removesuffix("'s") for word in text}
    forms |= {word.removesuffix("s") for word in forms}
    if not all(form in forms for word in asked for form in words(word)):
        return False
    return sum(word in _FUNCTION_WORDS for word in text) >= len(text) / 5
