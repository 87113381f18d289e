"""Short contexts about numbered things, and the questions one may ask of them.

A scene is a domain, a style of writing and an entity. Attributes that a question asks for are in
the context of one item and left out of the next, so that conditions are matched by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ullage.probes.domains import DOMAINS, Attribute, Domain
from ullage.probes.draw import Draw

Fact = tuple[Attribute, str]
"""An attribute and its value."""

STYLES = 5
FAMILIES = tuple(f"{domain.name}:t{style}" for domain in DOMAINS for style in range(STYLES))
"""Every domain in every style: what a probe over scenes has for families."""

NUMBERS = 9000
"""Entities are numbered from 1000 to 9999."""

ANSWER_FROM_TEXT = "Answer briefly from the text. If it does not say, say so."


@dataclass(frozen=True, slots=True)
class Scene:
    """An entity of a domain, to be written about in one style."""

    domain: Domain
    style: int
    entity: str
    """``order 4821``."""
    draw: Draw

    def facts(self, attributes: Sequence[Attribute]) -> list[Fact]:
        """A value for each attribute, no value twice."""
        taken: set[str] = set()
        facts: list[Fact] = []
        for attribute in attributes:
            value = self.other(attribute, taken)
            taken.add(value)
            facts.append((attribute, value))
        return facts

    def other(self, attribute: Attribute, taken: set[str]) -> str:
        """A value of the attribute that is not taken."""
        while (value := self.draw.pick(attribute.values)) in taken:
            pass
        return value

    def another(self, further: int) -> str:
        """The entity of the same kind whose number is so much further on, in a circle."""
        number = int(self.entity.rsplit(" ", 1)[1]) - 1000
        return _numbered(self.domain, number + further)

    def write(self, facts: Sequence[Fact]) -> str:
        """The facts about the entity, in the scene's style."""
        return write([(self.entity, facts)], self.style)

    def compare(self, attribute: Attribute, values: Sequence[tuple[str, str]]) -> str:
        """One attribute of several entities: (entity, value) each, in the scene's style."""
        return write([(entity, [(attribute, value)]) for entity, value in values], self.style)

    def note(self, fact: Fact, entity: str = "") -> str:
        """One more sentence, from somewhere else."""
        attribute, value = fact
        return f"{capital(entity or self.entity)} {attribute.statement.format(v=value)}."

    def ask(self, attribute: Attribute) -> str:
        """The question for an attribute of the entity."""
        return attribute.question.format(e=self.entity)


def scene(draw: Draw) -> Scene:
    """The scene of a draw: its family decides domain and style, its turn the entity's number."""
    domain, style = divmod(draw.family, STYLES)
    return thing(DOMAINS[domain], draw, style=style)


def thing(domain: Domain, draw: Draw, *, style: int = 0) -> Scene:
    """A scene of a given domain; no other of the family's first 9,000 has its number."""
    return Scene(domain, style, _numbered(domain, draw.unique(NUMBERS)), draw)


def sibling(scene: Scene) -> str:
    """Another entity of the same kind, with another number."""
    return scene.another(scene.draw.integer(1, NUMBERS - 1))


def _numbered(domain: Domain, number: int) -> str:
    return f"{domain.noun} {1000 + number % NUMBERS}"


def write(told: Sequence[tuple[str, Sequence[Fact]]], style: int) -> str:
    """Facts by entity: as sentences, a list, notes, a message, or an entry of a log."""
    if style == 1:
        return "\n".join(
            "\n".join([capital(entity), *(f"- {a.label}: {v}" for a, v in facts)])
            for entity, facts in told
        )
    if style == 2:
        return "\n".join(
            f"Notes on {entity}: " + "; ".join(f"{a.label}: {v}" for a, v in facts) + "."
            for entity, facts in told
        )
    sentences = " ".join(_sentences(entity, facts) for entity, facts in told)
    if style == 3:
        return f"Hello, here is what I know. {sentences} Best wishes"
    if style == 4:
        return f'From the log: "{sentences}"'
    return sentences


def prompt(context: str, question: str, instruction: str = ANSWER_FROM_TEXT) -> str:
    """A context, a question about it, and an instruction, such as leave to say it is not said."""
    return f"{context}\n\n{question} {instruction}".rstrip()


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def _sentences(entity: str, facts: Sequence[Fact]) -> str:
    subjects = [capital(entity)] + ["It"] * (len(facts) - 1)
    return " ".join(
        f"{subject} {attribute.statement.format(v=value)}."
        for subject, (attribute, value) in zip(subjects, facts, strict=True)
    )
