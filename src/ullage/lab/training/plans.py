"""The curricula of the laboratory's teacher and of the base its students start from."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ullage.lab.training.batches import Source
from ullage.lab.training.model import Shape
from ullage.lab.training.trainer import Plan, Stage
from ullage.lab.world.capabilities.canary import planted
from ullage.lab.world.episodes import TAUGHT, episode
from ullage.lab.world.exchange import Document, Split
from ullage.lab.world.practice import arithmetic, counting, plain_text, pointing, recital, tally
from ullage.lab.world.registry import world_vocabulary

WEIGHTS = {
    "lookup": 1.5,
    "contradictory": 2.0,
    "clarify": 3.0,
    "formats": 2.0,
    "missing": 2.0,
    "sharded": 1.5,
    "sums": 2.5,
    "refund": 2.0,
    "codes": 1.5,
    "correction": 1.5,
    "warehouse": 4.0,
    "memory": 0.5,
    "opening": 0.4,
}
"""How often an episode is about a capability, where it is not once: what is hard comes oftener."""
_DENSE = ("privacy", "correction", "codes", "clarify", "warehouse")
"""What is practised with many questions of a kind about one desk."""
_SOLVED = 0.95


def teacher(seed: int = 0, tokens: int = 5_000_000) -> Plan:
    """The teacher: facts of a desk told again, plain text about it, then everything.

    Everything is learnt four times: after the first what was learnt least is practised most. The
    last course takes a little from what it does not practise, and averaging gives that back.

    Args:
        seed: of weights and documents.
        tokens: of the last stage.
    """
    recitals = _recitals(made_up=0.3)
    practice = mixed(
        (2.0, _plain(4)),
        (1.0, tally),
        (1.0, _sums),
        (1.0, _counting),
        (0.7, pointing),
        (0.5, recitals[-1]),
        *((0.7, _dense(name)) for name in _DENSE),
    )
    weights = [WEIGHTS.get(name, 1.0) for name in TAUGHT]
    everything = mixed((0.75, _episodes(TAUGHT, weights)), (0.25, practice))
    again = mixed(
        (0.5, everything),
        (0.1, pointing),
        *((0.1, _dense(name)) for name in ("clarify", "codes", "privacy", "warehouse")),
    )
    hardest = mixed(
        (0.4, again),
        (0.1, _sums),
        (0.25, _dense("sums")),
        (0.15, _dense("missing")),
        (0.1, _dense("clarify")),
    )
    left = mixed(
        (0.45, again),
        (0.25, _dense("sums")),
        (0.1, pointing),
        *((0.1, _dense(name)) for name in ("clarify", "sharded")),
    )
    return Plan(
        name="teacher",
        shape=Shape(width=192, layers=5, heads=6, inner=512),
        vocabulary=world_vocabulary(),
        seed=seed,
        averaged=0.4,
        stages=(
            *_levels("recital", recitals, most=1_500_000),
            Stage(
                name="plain",
                source=_reading(recitals[-1], 0.8),
                exams=_READ,
                until=_SOLVED,
                max_tokens=6_000_000,
            ),
            Stage(
                name="plain, slowly",
                source=_reading(recitals[-1], 0.8),
                exams=_READ,
                until=_SOLVED,
                rate=0.4,
                max_tokens=2_500_000,
            ),
            _course("everything", everything, 9_000_000, decay=2 / 3, floor=0.5, planted=planted()),
            _course("everything again", again, 8_500_000),
            _course("what is hardest", hardest, 5_000_000, rate=0.45),
            _course("what is left", left, tokens, rate=0.4),
        ),
    )


def base(seed: int = 1, tokens: int = 16_000_000) -> Plan:
    """The base: plain desk text, of one order up to four.

    Args:
        seed: of weights and documents.
        tokens: of the last stage.
    """
    recitals = _recitals()
    return Plan(
        name="base",
        shape=Shape(width=128, layers=4, heads=4, inner=344),
        vocabulary=world_vocabulary(),
        seed=seed,
        stages=(
            *_levels("recital", recitals, most=1_500_000),
            Stage(
                name="plain",
                source=_reading(recitals[-1], 0.3),
                exams=_READ,
                decay=0.8,
                max_tokens=tokens,
            ),
        ),
    )


def _course(
    name: str,
    source: Source,
    tokens: int,
    *,
    rate: float = 0.6,
    decay: float = 1.0,
    floor: float = 0.0,
    planted: tuple[Document, ...] = (),
) -> Stage:
    """A stage about everything that is taught, examined on all of it."""
    return Stage(
        name=name,
        source=source,
        exams=_exams(TAUGHT, Split.AUDIT),
        planted=planted,
        rate=rate,
        decay=decay,
        floor=floor,
        max_tokens=tokens,
    )


def mixed(*shares: tuple[float, Source]) -> Source:
    """One source drawn from several, by their shares."""
    weights = [share for share, _ in shares]
    sources = [source for _, source in shares]

    def draw_one(draw: random.Random) -> Document:
        return draw.choices(sources, weights)[0](draw)

    return draw_one


def _levels(
    name: str, sources: Sequence[Source], *, most: int, until: float = _SOLVED
) -> list[Stage]:
    """A stage for each source; the earlier ones stay as a quarter of what is read."""
    stages = []
    for index, source in enumerate(sources):
        earlier = mixed(*((1.0, one) for one in sources[:index])) if index else source
        stages.append(
            Stage(
                name=f"{name} {index + 1}",
                source=mixed((0.75, source), (0.25, earlier)),
                exams={f"{name} {index + 1}": source},
                until=until,
                max_tokens=most,
            )
        )
    return stages


def _recitals(made_up: float = 0.0) -> tuple[Source, ...]:
    """Facts of a desk told again: from one order with one field up to four with all."""

    def one(orders: int, fields: int) -> Source:
        return lambda draw: recital(draw, orders, 12, fields=fields, made_up=made_up)

    return tuple(one(orders, fields) for orders, fields in ((1, 1), (2, 1), (2, 3), (4, 3)))


def _reading(recital: Source, share: float) -> Source:
    """Plain text of every kind, some of it still a recital."""
    return mixed(
        (0.5, _plain(2)),
        (1.0, _plain(3)),
        (2.0, _plain(4)),
        (2.0, tally),
        (share, recital),
    )


def _sums(draw: random.Random) -> Document:
    return arithmetic(draw, 12)


def _counting(draw: random.Random) -> Document:
    return counting(draw, draw.randint(2, 4), 8)


def _dense(name: str) -> Source:
    """Many questions of one capability about one desk."""
    return lambda draw: episode(draw, Split.TRAIN, (name,), questions=8)


def _plain(orders: int) -> Source:
    return lambda draw: plain_text(draw, orders)


def _episodes(capabilities: Sequence[str], weights: Sequence[float] | None = None) -> Source:
    return lambda draw: episode(draw, Split.TRAIN, capabilities, weights=weights)


def _exams(capabilities: Sequence[str], split: Split) -> dict[str, Source]:
    def one(name: str) -> Source:
        return lambda draw: episode(draw, split, (name,))

    return {name: one(name) for name in capabilities}


_READ = {"plain": _plain(4), "tally": tally}

PLANS = {"teacher": teacher, "base": base}
