"""Steering: a user who knows the goal asks for one change after another."""

from __future__ import annotations

import math
from typing import ClassVar

from ullage.models.types import user
from ullage.probes.agency.lists import (
    AS_LIST,
    TOPICS,
    joined,
    listed,
    next_request,
    steps_left,
)
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw, arranged
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask

SPARE = 1
"""Turns beyond the fewest that the goal takes."""
_MOST_STEPS = 8
_SIZE = 4

_FORMS = (
    "Here is {what}: {items}. I want to change it step by step. {request}",
    "Help me with {what}. This is what I have: {items}. {request}",
    "I have noted {what} so far: {items}. It is not right yet. {request}",
    "We are going over {what}: {items}. Let us mend it together. {request}",
)


class Steering(PackagedProbe):
    """A list that is three changes away from what the user wants, who asks for one at a time.

    The user is simulated: reads the model's list, and asks for the next change or once more for the
    last. What counts is how much of the way was made with the model: the user's own list, given
    back unchanged, is no progress.
    """

    name = "steering"
    dimension = Dimension.AGENCY
    families = tuple(f"{topic}:t{form}" for topic in TOPICS for form in range(len(_FORMS)))
    max_tokens = 32
    example: ClassVar[str] = (
        '{"task": "Here is my playlist.", "draft": ["Yesterday", "Hello", "Help"], '
        '"goal": ["Hello", "Yesterday", "Bad"]}'
    )
    metrics = (
        Metric(
            name="progress",
            summary="Working with it takes a user less far towards what they want.",
            bounds=(-1.0, 1.0),
            chance=0.0,
            reference="after Lee et al. 2022 (arXiv 2212.09746) on outcomes of interaction: with "
            "the model minus without",
        ),
        Metric(
            name="reached",
            summary="Fewer users get what they want within as many requests as it takes and one.",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """A goal of four things; in the draft one is another thing, and two are swapped."""
        topic, form = divmod(draw.family, len(_FORMS))
        what, names = tuple(TOPICS.values())[topic]
        *goal, extra = arranged(draw.unique(math.perm(len(names), _SIZE + 1)), names, _SIZE + 1)
        missing = draw.below(_SIZE)
        draft = [*goal[:missing], extra, *goal[missing + 1 :]]
        places = [place for place in range(_SIZE) if place != missing]
        # Neighbours among the rest: one request puts them right.
        one, other = places[(first := draw.below(_SIZE - 2))], places[first + 1]
        draft[one], draft[other] = draft[other], draft[one]
        frame = _FORMS[form].replace("{what}", what).replace("{items}", joined(draft))
        return _item(frame, draft, goal)

    def read(self, record: Record) -> Item:
        """What the list is (`task`), the user's `draft`, and the `goal`: two lists."""
        draft, goal = list(record.texts("draft", least=1)), list(record.texts("goal", least=1))
        steps = steps_left(draft, goal)
        if not 0 < steps <= _MOST_STEPS:
            record.refuse(f"the goal is {steps} changes away; 1 to {_MOST_STEPS} are expected")
        task = record.text("task").replace("{", "{{").replace("}", "}}")
        return record.named(_item(f"{task} {joined(draft)}. {{request}}", draft, goal), self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask for one change after another, and measure the way that is left."""
        goal, current = item.data["goal"], item.data["draft"]
        known = [*dict.fromkeys([*current, *goal])]
        away = steps_left(current, goal)
        talk = item.messages
        request = next_request(current, goal)
        for _ in range(away + SPARE):
            if request is None:
                break
            reply = yield from ask(
                self.put(item, talk, answer=joined(request.result), wrong=joined(current))
            )
            # Where there is no list in the reply, the user still has the last one.
            current = listed(reply.text, known) or current
            request = next_request(current, goal)
            if request is not None:
                talk = (*talk, reply.message, user(f"{request.text} {AS_LIST}"))
        left = steps_left(current, goal)
        return {"progress": max(1.0 - left / away, -1.0), "reached": float(left == 0)}


def _item(frame: str, draft: list[str], goal: list[str]) -> Item:
    """The first request is part of the prompt; the later ones depend on the replies."""
    request = next_request(draft, goal)
    first = "" if request is None else request.text
    return drawn(
        f"{frame.format(request=first)} {AS_LIST}",
        answer=joined(goal),
        wrong=joined(draft),
        data={"draft": draft, "goal": goal},
    )
