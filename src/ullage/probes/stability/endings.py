"""Endings: whether it comes to an end, without going round in circles."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import CITIES, COLOURS, DAYS, DOCTORS, FIRST_NAMES
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.knowledge import CATEGORIES, with_article
from ullage.probes.normalise import TEXT_CHARS, plain
from ullage.probes.open_prompts import three
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scoring import contains, is_echo

ROUNDS = 3
"""A phrase that ends a text this often in a row is a loop."""
PHRASE = 2
"""Words of such a phrase, at least."""
_TAIL = 400
"""Only as many words of the end are looked at."""
RUNAWAY = 2
"""Times the words asked for that are too many."""
_WORD = re.compile(r"\w+|[^\w\s]")
_TEXT = re.compile(r"\w+")
_SHORTEST = 3

_FORMS = (
    "Write one sentence of at most {words} words in which {name} sees {thing} in {city}.",
    "Describe {thing} to {name} from {city} in at most {words} words.",
    "Write a note of at most {words} words from {name} in {city} about {thing}.",
    "{name} looks for {thing} in {city}. Give one tip in at most {words} words.",
    "Begin a story about {name} and {thing} in {city}. Use at most {words} words.",
    "Write an advertisement of at most {words} words for {thing}, sold by {name} in {city}.",
    "What does {name} like about {thing} in {city}? Answer in at most {words} words.",
)
_TOPICS = {
    "animals": CATEGORIES["animal"],
    "fruit": CATEGORIES["fruit"],
    "tools": CATEGORIES["tool"],
    "instruments": CATEGORIES["musical instrument"],
    "furniture": CATEGORIES["piece of furniture"],
    "places": ("market", "library", "bakery", "harbour", "station", "museum", "bridge", "garden"),
}
_WORDS = (20, 25, 30)


class Endings(PackagedProbe):
    """Short texts of a length that is asked for, with room for several times as much."""

    name = "endings"
    dimension = Dimension.STABILITY
    families = tuple(f"{topic}:t{form}" for topic in _TOPICS for form in range(len(_FORMS)))
    max_tokens = 128
    example: ClassVar[str] = (
        '{"prompt": "Write a sentence of at most 20 words about the sea.", "words": 20, '
        '"about": ["sea", "wave", "waves"]}'
    )
    metrics = (
        Metric(
            name="complete",
            summary="Fewer of its texts are to the point, of bearable length, and come to an end.",
            reference="the four below, and that it speaks of what was asked for",
        ),
        Metric(
            name="loops",
            summary="More of its texts end up going round in circles.",
            higher_is_better=False,
            reference="Holtzman et al. 2019 (arXiv 1904.09751): the text ends with a phrase of two "
            "or more words, three or more times in a row",
        ),
        Metric(
            name="missing-end",
            summary="More of its texts do not come to an end by themselves.",
            higher_is_better=False,
            reference="Welleck et al. 2020 (arXiv 2002.02492): decoding that does not terminate; "
            "here, within 128 tokens for 30 words",
        ),
        Metric(
            name="runaway",
            summary="More of its texts are over twice as long as what was asked for.",
            higher_is_better=False,
            reference="Zhou et al. 2023 (arXiv 2311.07911): a length limit that can be checked",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """A request for a text about a thing, a person and a city, and one of three bad ends."""
        topic, form = divmod(draw.family, len(_FORMS))
        things = tuple(_TOPICS.values())[topic]
        thing, name, where = three(draw, things)
        words, called = draw.pick(_WORDS), with_article(thing)
        sees = f"{name} sees {called} in {where}"
        loop, ramble = " and then ".join([sees] * 12), f"{sees}, {_RAMBLING}."
        return drawn(
            _FORMS[form].format(words=words, name=name, city=where, thing=called),
            answer=f"{sees}.",
            wrong=draw.pick((loop, loop, ramble, ramble, f"{sees} and walks up to the")),
            data={"words": words, "about": [thing, f"{thing}s", name, where]},
        )

    def read(self, record: Record) -> Item:
        """A request, how many `words` it asks for at most, and words it is `about`.

        A reply that names none of the latter is beside the point.
        """
        words = record.text("words")
        if not words.isdecimal() or int(words) < 1:
            record.refuse(f"'words' is '{words}'; a whole number above 0 is expected")
        about = record.texts("about", least=1)
        loop = [f"this is about {about[0]}"] * (RUNAWAY * int(words) // 4 + ROUNDS)
        item = drawn(
            record.messages(),
            answer=f"This text is about {about[0]}.",
            wrong=" and then ".join(loop),
            data={"words": int(words), "about": list(about)},
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask once, and look at how it ends.

        Where nothing is known of why the model stopped, what hangs on that is left out.
        """
        request = self.put(item, expects="end")
        room = max(self.max_tokens, 2 * RUNAWAY * item.data["words"])
        reply = yield from ask(replace(request, max_tokens=room))
        text = plain(reply.text)
        length = len(_TEXT.findall(text))
        loops = is_loop(text)
        runaway = length > RUNAWAY * item.data["words"] or len(reply.text) > TEXT_CHARS
        scores = {"loops": float(loops), "runaway": float(runaway)}
        if reply.finish_reason == "unknown":
            return scores
        cut = reply.finish_reason != "stop"
        to_the_point = (
            length >= _SHORTEST
            and any(contains(text, word) for word in item.data["about"])
            and not is_echo(text, item.messages[-1].content)
        )
        complete = to_the_point and not (loops or runaway or cut)
        return {"complete": float(complete), **scores, "missing-end": float(cut)}


_RAMBLING = ", ".join((*FIRST_NAMES, *CITIES, *COLOURS, *DAYS, *DOCTORS))
"""Many words, and no two of them the same."""


def is_loop(text: str) -> bool:
    """Whether a text ends with the same phrase again and again, cut off anywhere."""
    words = _WORD.findall(text.casefold())[-_TAIL:]
    for size in range(PHRASE, len(words) // ROUNDS + 1):
        last = words[-size:]
        if all(words[-(lap + 1) * size : -lap * size] == last for lap in range(1, ROUNDS)):
            return True
    return False
