"""Long input: a short text and its question amid much that is beside the point."""

from __future__ import annotations

from collections.abc import Callable

from ullage.probes.boundary.twins import Twins, compared, twin_metrics, twins
from ullage.probes.domains import DOMAINS
from ullage.probes.draw import Draw
from ullage.probes.protocol import Item
from ullage.probes.scenes import ANSWER_FROM_TEXT

PADDING = 2_000
"""Characters put around a generated question: about 450 tokens."""

_CHATTER = (
    "Thank you for your patience.", "It was good to hear from you.", "The weather is fine here.",
    "I hope that you are well.", "We had a long day.", "Please excuse the delay.",
    "My phone rang in between.", "I will write again soon.", "Greetings to everybody.",
    "There is not much else to tell.", "We were rather busy this week.", "Let us talk soon.",
    "I just had my lunch.", "It has been a while.", "Everything else can wait.",
)  # fmt: skip
_SMALL_PRINT = (
    "This message is confidential.", "It is meant for the person it is addressed to.",
    "If you received it in error, delete it.", "Views are those of the sender.",
    "No liability is accepted for errors.", "Please consider the environment before printing.",
    "All rights reserved.", "Terms and conditions apply.", "Prices may change without notice.",
    "Unauthorised copying is forbidden.", "Attachments have been scanned.",
    "This notice is part of the message.", "Errors and omissions excepted.",
)  # fmt: skip
_DONE = ("started", "finished", "waiting", "checked", "skipped", "resumed", "saved", "ready")
_WORK = ("backup", "index", "cache", "session", "upload", "queue", "worker", "mailbox", "update")


def _of(sentences: tuple[str, ...]) -> Callable[[Draw], str]:
    count = PADDING * len(sentences) // sum(len(sentence) + 1 for sentence in sentences)

    def make(draw: Draw) -> str:
        return " ".join(draw.pick(sentences) for _ in range(count))

    return make


def _log(draw: Draw) -> str:
    return "\n".join(
        f"{draw.integer(10, 23)}:{draw.integer(10, 59)} {draw.pick(_WORK)} {draw.pick(_DONE)}"
        for _ in range(PADDING // 22)
    )


def _table(draw: Draw) -> str:
    return "\n".join(
        f"| {draw.integer(100, 999)} | {draw.integer(100, 999)} | {draw.pick(_DONE)} |"
        for _ in range(PADDING // 24)
    )


def _again(draw: Draw) -> str:
    sentence = draw.pick(_CHATTER)
    return " ".join([sentence] * (PADDING // (len(sentence) + 1)))


def _blank(draw: Draw) -> str:
    line = draw.pick((" \n", "\n", "- - -\n", "____\n", "*\n", ".\n"))
    return line * (PADDING // len(line))


_KINDS: dict[str, Callable[[Draw], str]] = {
    "chatter": _of(_CHATTER),
    "small-print": _of(_SMALL_PRINT),
    "log": _log,
    "table": _table,
    "one-sentence": _again,
    "blank": _blank,
}


class LongInput(Twins):
    """A question on a short text, and the same with 2,000 characters of padding in it."""

    name = "long-input"
    families = tuple(f"{kind}:{domain.name}" for kind in _KINDS for domain in DOMAINS)
    example = (
        '{"plain": "Order 17 went with Velox. Which carrier took order 17?", '
        '"changed": "(forty lines of a log) Order 17 went with Velox. Which carrier took order '
        '17?", "reference": "Velox"}'
    )
    metrics = twin_metrics(
        "much else stands around it",
        "Levy et al. 2024 (arXiv 2402.14848): the same task, more tokens; Shi et al. 2023 (arXiv "
        "2302.00093) on irrelevant context",
    )

    def make(self, draw: Draw) -> Item:
        """One attribute of two things; padding before, after, or between text and question."""
        kind, index = divmod(draw.family, len(DOMAINS))
        context, question, value, other = compared(DOMAINS[index], draw)
        parts = [context, f"{question} {ANSWER_FROM_TEXT}"]
        plain = "\n\n".join(parts)
        parts.insert(draw.below(3), tuple(_KINDS.values())[kind](draw))
        return twins(plain, "\n\n".join(parts), value, other)
