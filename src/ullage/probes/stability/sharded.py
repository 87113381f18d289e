"""Sharded: the same words at once, and over several turns."""

from __future__ import annotations

from ullage.models.types import Message, user
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.chains import FAMILIES, chain
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.process import ONLY
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.working import read_choices, settled

MOVES = 3
_NOTED = "All right."


class Sharded(PackagedProbe):
    """A question told whole, and the very same sentences told one a turn."""

    name = "sharded"
    dimension = Dimension.STABILITY
    families = FAMILIES
    example = (
        '{"shards": ["How many coins will be in the jar? It holds 3 coins.", "4 go in.", '
        '"2 come out. So how many are there?"], "reference": "5"}'
    )
    metrics = (
        Metric(
            name="drop",
            summary="What it answers when told at once it gets wrong when told bit by bit.",
            higher_is_better=False,
            bounds=(-1.0, 1.0),
            reference="Laban et al. 2025 (arXiv 2505.06120), section 4: averaged performance, "
            "FULL less SHARDED",
        ),
        Metric(
            name="sharded",
            summary="Told bit by bit, it is right less often.",
            reference="Laban et al. 2025 (arXiv 2505.06120): averaged performance, SHARDED",
        ),
        Metric(
            name="full",
            summary="Told at once, it is right less often.",
            reference="Laban et al. 2025 (arXiv 2505.06120): averaged performance, FULL",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """A chain of three changes: the question first, as people ask, and once more in the end."""
        told = chain(draw, MOVES)
        *early, last = (move.says for move in told.moves)
        shards = [
            f"{told.asks()} {told.opening}",
            *early,
            f"{last} {told.asks()} {ONLY}",
        ]
        return drawn(
            " ".join(shards),
            answer=told.answer,
            wrong=told.values[-2],
            choices=told.among,
            data={"shards": shards},
        )

    def read(self, record: Record) -> Item:
        """The `shards` of a question in their order, and its `reference`.

        Told whole, they are joined by spaces. The answer is a number, or one of `choices`.
        """
        shards, reference = record.texts("shards", least=2), record.reference()
        item = drawn(
            " ".join(shards),
            answer=reference,
            wrong=record.text("wrong", ""),
            choices=read_choices(record, (reference,)),
            data={"shards": list(shards)},
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask whole; then tell shard by shard, and look at what it says to the last."""
        whole = yield from ask(self.put(item))
        said: tuple[Message, ...] = ()
        *early, last = item.data["shards"]
        for shard in early:
            said = (*said, user(shard))
            reply = yield from ask(self.put(item, said, answer=_NOTED))
            said = (*said, reply.message)
        final = yield from ask(self.put(item, (*said, user(last)), expects="hold"))
        full, sharded = (
            float(settled(reply.text, item.choices) == item.answer) for reply in (whole, final)
        )
        return {"drop": full - sharded, "sharded": sharded, "full": full}
