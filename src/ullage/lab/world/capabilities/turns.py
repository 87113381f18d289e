"""More than one turn: corrections, right ones and wrong ones, and questions told in pieces."""

from __future__ import annotations

from random import Random

from ullage.lab.world.capabilities.lookup import ASKS, asked
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import WHOLE, Bias, Desk, Order
from ullage.lab.world.exchange import Exchange, Turn
from ullage.lab.world.reference import FIELD_PHRASES, KINDS, Reference, draw_reference, fields_for
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import COLOURS, STATUSES

CLAIMS = ("no, it is {value}.", "that is wrong, it is {value}.", "i think it is {value}.")
STAYS = "it is {value}."
GO_ON = "go on."


class Correction(Capability):
    """The user corrects a reply: give in where the desk says so, and only there."""

    name = "correction"
    dimension = "agency"
    fills = True
    hard = True
    phrases = ASKS
    spoken = (*CLAIMS, STAYS)

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """Half of the corrections are right; the words do not tell which."""
        pointer = draw_reference(draw, desk, KINDS)
        if pointer is None:
            return None
        order = pointer.among(desk)[0]
        field = draw.choice(sorted({"status", "colour"}.intersection(fields_for(pointer.kind))))
        truth = desk.value(order, field)
        values = STATUSES if field == "status" else COLOURS
        # Where statuses are in code, a claim in plain words might be right in meaning.
        if not desk.shows(order, field) or truth not in values:
            return None
        mistake = draw.choice([value for value in values if value != truth])
        justified = draw.random() < 0.5
        said, claimed = (mistake, truth) if justified else (truth, mistake)
        first = Turn(
            user=asked(wording, field, pointer.text(desk.styles)),
            assistant=said,
            taught=not justified,
        )
        claim = draw.choice(CLAIMS).format(value=claimed)
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording, "right" if justified else "wrong"),
            context=desk.text,
            turns=(
                first,
                Turn(user=claim, assistant=STAYS.format(value=truth)),
            ),
            wrong=mistake,
            data={"truth": truth, "justified": justified},
        )


class Sharded(Capability):
    """The same look-up told at once or in two or three turns."""

    name = "sharded"
    dimension = "stability"
    fills = True
    phrases = ("i ask about {order}.", "it is about {order}.", "look at {order}.", "{order}.")
    spoken = (GO_ON, "i want {field}.", "the one in {colour}.")

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """The order first, perhaps its colour next, what is asked last."""
        order = draw.choice(desk.orders)
        fields = [name for name in ("status", "price", "date") if desk.shows(order, name)]
        if not fields or len(Reference("named", order).among(desk)) != 1:
            return None
        field = draw.choice(fields)
        turns, whole = self._shards(draw, desk, order, wording)
        last = Turn(user=f"i want {FIELD_PHRASES[field]}.", assistant=desk.value(order, field))
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording, f"{len(turns) + 1}"),
            context=desk.text,
            turns=(*turns, last),
            data={"whole": asked(wording, field, whole)},
        )

    def _shards(
        self, draw: Random, desk: Desk, order: Order, wording: Wording
    ) -> tuple[tuple[Turn, ...], str]:
        """The turns before the last, and the same reference in one piece."""
        phrase = self.phrases[wording.phrase]
        if draw.random() < 0.5:
            told = Reference("number", order).text(desk.styles)
            return (Turn(user=wording.say(phrase.format(order=told)), assistant=GO_ON),), told
        item = Reference("item", order).text(desk.styles)
        first = Turn(user=wording.say(phrase.format(order=item)), assistant=GO_ON)
        second = Turn(user=f"the one in {order.colour}.", assistant=GO_ON)
        return (first, second), Reference("named", order).text(desk.styles)
