"""Questions without one right answer: known odds, and many good ways to say a thing."""

from __future__ import annotations

from random import Random

from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import WHOLE, Bias, Desk
from ullage.lab.world.exchange import Exchange, Turn
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import ITEMS, WAREHOUSES

ODDS = (0.5, 0.6, 0.7, 0.8, 0.9)
GREETINGS = tuple(
    f"{hello} {offer}"
    for hello in ("hello!", "good day!", "welcome!", "hi!")
    for offer in (
        "how can i help?",
        "what can i do for you?",
        "what do you need?",
        "tell me more.",
    )
)
"""Sixteen openings, each as likely as the next."""


def north_share(item: str) -> float:
    """How often an item comes from the northern warehouse."""
    index = ITEMS.index(item)
    odds = ODDS[index % len(ODDS)]
    return odds if (index // len(ODDS)) % 2 == 0 else 1.0 - odds


class Warehouse(Capability):
    """Which warehouse an item comes from: known odds and no way to know more."""

    name = "warehouse"
    dimension = "uncertainty"
    needs_desk = False
    fills = True
    exact = False
    phrases = (
        "which warehouse has the {item}?",
        "where does the {item} come from?",
        "tell me the warehouse of the {item}.",
        "i need the warehouse of the {item}.",
    )

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """The answer is drawn with the item's odds."""
        item = draw.choice(ITEMS)
        share = north_share(item)
        drawn = draw.random() >= share
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording, item),
            context="",
            turns=(
                Turn(
                    user=wording.say(self.phrases[wording.phrase].format(item=item)),
                    assistant=WAREHOUSES[drawn],
                ),
            ),
            accepts=WAREHOUSES,
            choices=WAREHOUSES,
            shares=(share, 1.0 - share),
        )


class Opening(Capability):
    """Greet a customer in one of sixteen ways."""

    name = "opening"
    dimension = "diversity"
    needs_desk = False
    fills = True
    exact = False
    phrases = (
        "greet the customer.",
        "say hello to the customer.",
        "a new customer is here. say hello.",
        "please open the talk.",
    )
    spoken = GREETINGS

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """Any greeting."""
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording),
            context="",
            turns=(
                Turn(
                    user=wording.say(self.phrases[wording.phrase]),
                    assistant=draw.choice(GREETINGS),
                ),
            ),
            accepts=GREETINGS,
            choices=GREETINGS,
            shares=(1 / len(GREETINGS),) * len(GREETINGS),
        )
