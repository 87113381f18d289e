"""Exchanges without end, every family in its turn: what items, corpora and evaluations draw from.

A family is a kind (as `Capability.family` names it), a layout and a wording. Each exchange comes
from its own seed, so the first n are the same however many are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from random import Random

from ullage.errors import InputError
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import LAYOUTS, WHOLE, Bias, Desk
from ullage.lab.world.exchange import Exchange, Split
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import Wording, draw_wording, wordings

_TRIES = 2_000
_LOOKS = 400
"""Exchanges looked at to learn a capability's kinds; one of 24 equal kinds is missed once in a
million."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An exchange, with the desk it is about."""

    exchange: Exchange
    desk: Desk
    wording: Wording
    draw: Random
    """Where further chance about this exchange comes from."""


def chance(key: str) -> Random:
    """Draws that hang on a text alone."""
    return Random(key)  # noqa: S311 - no secret


def rounds(
    capability: str,
    split: Split,
    seed: str,
    *,
    bias: Bias = WHOLE,
    keep: Callable[[Asked], bool] = lambda asked: True,
    only: int | None = None,
) -> Iterator[Asked]:
    """Exchanges of a capability without end; no family comes again before every other has come.

    Args:
        capability: its name.
        split: whose wordings.
        seed: any text; another one gives other exchanges in another order.
        bias: what the desks are restricted to.
        keep: what is not wanted is drawn again, in the same family.
        only: so many wordings, and no others.

    Raises:
        InputError: if a family holds nothing that is wanted.
    """
    asker = CAPABILITIES[capability]
    wanted, kinds = ways(capability, split, seed, only), _kinds(capability, split)
    layouts = len(LAYOUTS) if asker.needs_desk else 1
    for index in count():
        wording, layout, kind = _turn(index, len(wanted), layouts, len(kinds))
        draw = chance(f"{seed}/{capability}/{split}/{index}")
        yield _ask(asker, draw, split, wanted[wording], layout, kinds[kind], bias, keep)


@cache
def ways(capability: str, split: Split, seed: str, only: int | None = None) -> tuple[Wording, ...]:
    """The wordings of a capability in the order that a seed gives them; the first few of them."""
    shuffled = list(wordings(split, len(CAPABILITIES[capability].phrases)))
    chance(f"{seed}/{capability}/{split}").shuffle(shuffled)
    return tuple(shuffled[:only])


def _turn(index: int, wordings: int, layouts: int, kinds: int) -> tuple[int, int, int]:
    """Wording, layout and kind of a turn: every triple once in a round, every value early."""
    again, wording = divmod(index, wordings)
    further, shift = divmod(again, layouts)
    return wording, (wording + shift) % layouts, (wording + shift + further) % kinds


def _ask(
    asker: Capability,
    draw: Random,
    split: Split,
    wording: Wording,
    layout: int,
    kind: str,
    bias: Bias,
    keep: Callable[[Asked], bool],
) -> Asked:
    for _ in range(_TRIES):
        desk = asker.desk(draw, split, bias)
        if desk.orders:
            desk = replace(desk, styles=replace(desk.styles, layout=layout))
        exchange = asker.ask(draw, desk, wording, bias)
        if exchange is None or kind_of(exchange) != kind:
            continue
        asked = Asked(exchange=exchange, desk=desk, wording=wording, draw=draw)
        if keep(asked):
            return asked
    raise InputError(
        f"the laboratory finds no '{kind}' that is wanted in {_TRIES:,} draws; "
        "leave out less, or widen the bias"
    )


def kind_of(exchange: Exchange) -> str:
    """The first part of the family's name: the capability and, where it has kinds, which one."""
    return exchange.family.partition("/")[0]


@cache
def _kinds(capability: str, split: Split) -> tuple[str, ...]:
    """Every kind of exchange that a capability has."""
    asker, draw = CAPABILITIES[capability], chance(f"kinds of {capability}")
    found = set()
    for _ in range(_LOOKS):
        desk = asker.desk(draw, split)
        wording = draw_wording(draw, split, len(asker.phrases))
        if (exchange := asker.ask(draw, desk, wording)) is not None:
            found.add(kind_of(exchange))
    return tuple(sorted(found))
