"""A perfect desk assistant: it reads what it is asked and knows nothing of how it was made."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from tests.lab.solver import Facts, solve
from ullage.lab.world.capabilities.canary import code
from ullage.lab.world.capabilities.chance import north_share
from ullage.lab.world.capabilities.memory import FACT
from ullage.lab.world.desk import usual_price
from ullage.lab.world.words import ITEMS, NAMES
from ullage.models.types import Message, Weigh, Weights

FACTS = Facts(FACT.format(item=item, price=usual_price(item)) for item in ITEMS)
FACTS.lockers |= {name: code(name) for name in NAMES}


def reply(messages: Sequence[Message]) -> str:
    """What is right to say, worked out from the text alone."""
    return solve([(message.role, message.content) for message in messages], FACTS)[0]


def weigh(request: Weigh) -> Weights:
    """All weight on what is right; the true odds of warehouses; equal parts where all is right."""
    right = solve([(message.role, message.content) for message in request.messages], FACTS)
    text = request.messages[-1].content
    if right == ("north", "south"):
        (item,) = set(re.findall(r"\w+", text)) & set(ITEMS)
        north = north_share(item)
        shares = [{"north": north, "south": 1 - north}[one] for one in request.continuations]
    else:
        shares = [(one in right) / len(right) for one in request.continuations]
    logprobs = tuple(math.log(max(share, 1e-12)) for share in shares)
    return Weights(logprobs=logprobs, tokens=(1,) * len(shares))
