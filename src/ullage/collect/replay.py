"""Stepping conversations from the journal alone: how replies become scores and examples."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.collect.arms import ArmView
from ullage.collect.conversation import LiveConversation, Outcome, Want
from ullage.collect.journal import Journal
from ullage.collect.uses import Uses
from ullage.models.types import Answer
from ullage.probes.protocol import Item, Probe

NOT_ASKED = "not asked"
"""Reason of an item whose replies the journal does not hold (the audit stopped before it)."""

Exchange = tuple[Want, Answer]


def replay(
    probe: Probe,
    item: Item,
    role: str,
    views: Mapping[str, ArmView],
    journal: Journal,
    *,
    uses: Uses | None = None,
    exchanges: list[Exchange] | None = None,
) -> Outcome:
    """Run one conversation on journaled answers; nothing is asked.

    Args:
        probe: the probe.
        item: one of its items.
        role: the arm to score.
        views: every arm by role.
        journal: where the answers are.
        uses: if given, every answer used is counted there.
        exchanges: if given, every (want, answer) is appended, for showing a person.
    """
    conversation = LiveConversation(probe, item, role, views)
    while conversation.outcome is None:
        answers: list[Answer] = []
        for want in conversation.wants:
            found = journal.get_with_digest(want.key)
            if found is None:
                return Outcome(error=NOT_ASKED)
            answer, digest = found
            answers.append(answer)
            if uses is not None:
                uses.add(want.arm.role, want.key, answer, digest)
            if exchanges is not None:
                exchanges.append((want, answer))
        conversation.give(tuple(answers))
    return conversation.outcome
