"""Open requests for a sentence or two, on which a teacher may say anything sensible."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.probes.domains import CITIES, FIRST_NAMES
from ullage.probes.draw import Draw
from ullage.probes.knowledge import CATEGORIES, with_article

_TOPICS: dict[str, tuple[str, ...]] = {
    "animal": CATEGORIES["animal"],
    "fruit": CATEGORIES["fruit"],
    "tool": CATEGORIES["tool"],
    "instrument": CATEGORIES["musical instrument"],
    "furniture": CATEGORIES["piece of furniture"],
    "place": ("lighthouse", "market", "library", "bakery", "harbour", "station", "museum", "farm",
              "bridge", "castle", "school", "hotel", "garden"),
}  # fmt: skip
_FORMS = (
    "Write one sentence about {name}, who sees {thing} in {city}.",
    "Tell me something interesting about {thing}, as {name} from {city} would say it.",
    "Explain to {name}, a child from {city}, what {thing} is.",
    "{name} is in {city} and looks for {thing}. Give {name} one piece of advice.",
    "Begin a short story with {name}, {thing} and the city of {city}.",
    "Describe {thing} that {name} has drawn in {city}.",
    "Write a friendly note from {name} in {city} about {thing}.",
    "What might {name} ask about {thing} on a day in {city}?",
)

FAMILIES = tuple(f"{topic}:t{form}" for topic in _TOPICS for form in range(len(_FORMS)))


def open_prompt(draw: Draw) -> str:
    """The request of a draw; its family decides topic and form."""
    topic, form = divmod(draw.family, len(_FORMS))
    things = tuple(_TOPICS.values())[topic]
    thing, name, city = three(draw, things)
    return _FORMS[form].format(name=name, city=city, thing=with_article(thing))


def three(draw: Draw, things: Sequence[str]) -> tuple[str, str, str]:
    """One of the things, a person and a city; no three come together twice in a family."""
    code, thing = divmod(draw.unique(len(things) * len(FIRST_NAMES) * len(CITIES)), len(things))
    city, name = divmod(code, len(FIRST_NAMES))
    return things[thing], FIRST_NAMES[name], CITIES[city]
