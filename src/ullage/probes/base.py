"""What the packaged probes share: items generated family by family, or read from a user's file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar

from ullage.models.types import Ask, Message, Sample, Subject, Weigh, user
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Item, Probe


class PackagedProbe(Probe):
    """A probe whose items come from a seed, or from lines of a user's JSONL (`read`)."""

    families: tuple[str, ...]
    """Names of the families, without the probe's."""
    example: ClassVar[str]
    """One line of the JSONL that `read` understands; `docs/items.md` shows it."""
    max_tokens: ClassVar[int] = 24
    stream: ClassVar[str] = ""
    """Probes of one stream make the same items, each under its own name; by default its own."""
    needs_items: ClassVar[str] = ""
    """Why generated items measure nothing in an audit, where they do not; the user's own do."""

    @abstractmethod
    def make(self, draw: Draw) -> Item:
        """The generated item that these draws decide; its id and family are filled in later."""

    @abstractmethod
    def read(self, record: Record) -> Item:
        """The item that one line of the user's file describes.

        Raises:
            InputError: if the line lacks what the probe needs.
        """

    def item(self, seed: int, index: int) -> Item:
        """Item `index` of the endless stream of `seed`, made on its own."""
        draw = Draw(seed, self.stream or self.name, index, len(self.families))
        return replace(
            self.make(draw),
            id=f"{self.name}/{seed}/{index:06d}",
            family=f"{self.name}:{self.families[draw.family]}",
        )

    def items(self, seed: int) -> Iterator[Item]:
        """Items without end, every family in its turn."""
        return (self.item(seed, index) for index in count())

    def put(
        self, item: Item, prompt: str | tuple[Message, ...] | None = None, **subject: str
    ) -> Ask:
        """A greedy question about an item.

        Args:
            item: the item.
            prompt: what is asked, if not the item's own messages.
            subject: fields of `Subject` that differ from the item's.
        """
        return Ask(
            messages=turns(prompt or item.messages),
            max_tokens=self.max_tokens,
            subject=self.subject(item, **subject),
        )

    def weighing(self, item: Item, *replies: str, **subject: str) -> Weigh:
        """Replies to an item, to be weighed: these, or else its choices."""
        return Weigh(
            messages=item.messages,
            continuations=replies or item.choices,
            subject=self.subject(item, **subject),
        )

    def samples(self, item: Item, n: int, **subject: str) -> Sample:
        """The item asked `n` times at temperature 1."""
        return Sample(
            messages=item.messages,
            n=n,
            max_tokens=self.max_tokens,
            subject=self.subject(item, **subject),
        )

    def subject(self, item: Item, **changes: Any) -> Subject:
        """What a request about this item is about."""
        subject = item.subject(self.name)
        return replace(subject, **changes) if changes else subject


def turns(prompt: str | tuple[Message, ...]) -> tuple[Message, ...]:
    """A prompt as a conversation."""
    return (user(prompt),) if isinstance(prompt, str) else prompt


def drawn(
    prompt: str | tuple[Message, ...],
    *,
    answer: str = "",
    wrong: str = "",
    expects: str = "answer",
    choices: tuple[str, ...] = (),
    ways: tuple[str, ...] = (),
    data: Mapping[str, Any] | None = None,
) -> Item:
    """An item before it has an id and a family."""
    return Item(
        id="",
        family="",
        messages=turns(prompt),
        expects=expects,
        answer=answer,
        wrong=wrong,
        choices=choices,
        ways=ways,
        data=data or {},
    )
