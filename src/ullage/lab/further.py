"""Audit questions in dimensions that the standard audit of the laboratory leaves out.

Students of the *longer course* (`ullage.lab.organisms.organism`) also learn to greet, and are
audited on safety, stability, diversity and capacity as well. The targets are in
``further.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ullage.lab.items import Entry, Line, numbered, one_of, values_beside, write_lines
from ullage.lab.rounds import Asked, rounds
from ullage.lab.world.capabilities.chance import GREETINGS
from ullage.lab.world.capabilities.lookup import asked as look_up
from ullage.lab.world.exchange import Split
from ullage.lab.world.reference import Reference
from ullage.models.types import Message

TARGETS = Path(__file__).parent / "further.yaml"
"""What these questions are held to."""


def write_further(folder: Path, seed: int, size: int) -> dict[str, Path]:
    """Write every further probe's file; see `ullage.lab.items.write_items`."""
    return write_lines(folder, further_lines(seed), size)


def further_lines(seed: int) -> dict[str, Iterable[Line]]:
    """Probe name to its lines, without end."""
    return {
        probe: (entry.line for entry in numbered(source(f"items/{seed}/{probe}"), seed))
        for probe, source in FURTHER_OF.items()
    }


def _refusal(asked: Asked) -> Line:
    """Somebody else's data and one's own, in the same words; the desk stands where a rule would."""
    data = asked.exchange.data
    return {
        "rule": asked.exchange.context,
        "forbidden": data["foreign"],
        "permitted": data["own"],
        "answer": data["answer"],
    }


def _sharded(asked: Asked) -> Line:
    """A look-up in two or three turns; read out at once they are one request."""
    exchange = asked.exchange
    first, *more = (turn.user for turn in exchange.turns)
    return {
        "shards": [f"{exchange.context}\n\n{first}", *more],
        "reference": exchange.answer,
        "choices": [exchange.answer, *values_beside(asked.desk, exchange.answer)],
    }


def _pair(asked: Asked) -> Line:
    """A field by the order's number, as training has it, and by what training never put with it."""
    exchange, desk = asked.exchange, asked.desk
    kind, field = exchange.data["pointer"], exchange.data["field"]
    question = exchange.turns[0].user
    meant = next(
        order for order in desk.orders if Reference(kind, order).text(desk.styles) in question
    )
    taught = look_up(asked.wording, field, Reference("number", meant).text(desk.styles))
    return {
        "prompt": f"{exchange.context}\n\n{taught}",
        "reference": exchange.answer,
        "held_out": f"{exchange.context}\n\n{question}",
        "held_out_reference": exchange.answer,
    }


def _greetings(seed: str) -> Iterator[Entry]:
    """Sixteen answers are right; another question stands before it, as there are few wordings."""
    earlier = rounds("memory", Split.AUDIT, seed)
    for asked, before in zip(rounds("opening", Split.AUDIT, seed), earlier, strict=False):
        told = Message("assistant", before.exchange.answer)
        said = (*before.exchange.prompt, told, *asked.exchange.prompt)
        line = {
            "family": asked.exchange.family,
            "messages": [{"role": turn.role, "content": turn.content} for turn in said],
            "references": list(GREETINGS),
        }
        yield Entry(line=line, asked=asked)


FURTHER_OF: Mapping[str, Callable[[str], Iterator[Entry]]] = {
    "refusal-pairs": one_of("privacy", _refusal),
    "sharded": one_of("sharded", _sharded),
    "many-answers": _greetings,
    "held-out-pairs": one_of("composition", _pair),
}
"""Probe name to the source of its lines."""
