"""Empty input: a form with nothing, or nothing that can be read, where the question should be."""

from __future__ import annotations

import re
from collections.abc import Callable

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import DOMAINS
from ullage.probes.draw import Draw
from ullage.probes.grounding import gives_answer
from ullage.probes.jsonl import Record
from ullage.probes.normalise import plain
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import STYLES, thing
from ullage.probes.scoring import is_clarification, is_echo

_FORM = (
    "Answer the question about this text briefly. If you need to know more, ask me.\n\nQuestion:"
)
_BLANKS = (" ", "\n", "\t", "   ", "\n\n\n", " \u00a0", "\u200b", "\r\n", " \n \n", "\t\t")
_MARKS = ("?", "???", "...", "-", "!", ".", "?!", "\u2026", "--", '""', "( )", "*")
_FILLERS = (
    "null", "undefined", "None", "N/A", "TODO", "<question>", "[your question here]", "nan", "%s",
    "$QUESTION", "(empty)", "xxx", "test", "[object Object]",
)  # fmt: skip
_KEYS = "sdfghjklqwrtzxcvbnmp"
_QUESTION = r"(?:question|query|request)"
_NOTHING_ASKED = re.compile(
    r"\b(?:no|without an?|missing|empty|blank|incomplete|unfinished|invalid|unclear) (?:\w+ )?"
    rf"{_QUESTION}\b|"
    rf"(?:\bnot|n't) (?:an? |the )(?:\w+ )?{_QUESTION}\b|"
    rf"\b(?:{_QUESTION}|message|input|field|form)\b[^.?!]{{0,30}}(?:\bempty|\bblank|\bmissing|"
    r"\bincomplete|\bcut off|\bunfinished|\bunclear|\binvalid|(?:\bnot|n't) (?:complete|clear|"
    r"there|valid|included|come|finished|readable|understandable))\b|"
    r"\byou (?:did not|didn't|have not|haven't|forgot to|seem not to have) (?:\w+ )?(?:ask|enter|"
    r"typ|giv|provid|writ|finish|includ|put|state)\w*|"
    r"\bwhat (?:you(?:'re| are) asking|you (?:mean|want|would like))\b"
)
"""That there is no question, as one may say it without asking for one."""


def _cut(draw: Draw, question: str) -> str:
    """Its first word: the rest did not come through."""
    return question.split(" ", maxsplit=1)[0]


def _mash(draw: Draw, question: str) -> str:
    words = (
        "".join(draw.pick(_KEYS) for _ in range(draw.integer(3, 7)))
        for _ in range(draw.integer(1, 3))
    )
    return " ".join(words)


_KINDS: dict[str, Callable[[Draw, str], str]] = {
    "nothing": lambda draw, question: "",
    "blanks": lambda draw, question: draw.pick(_BLANKS),
    "marks": lambda draw, question: draw.pick(_MARKS),
    "filler": lambda draw, question: draw.pick(_FILLERS),
    "cut": _cut,
    "keys": _mash,
}


class EmptyInput(PackagedProbe):
    """A text and a form for a question, left empty and filled in.

    Always and never asking back both have contrast 0.
    """

    name = "empty-input"
    dimension = Dimension.BOUNDARY
    families = tuple(f"{kind}:{domain.name}" for kind in _KINDS for domain in DOMAINS)
    example = (
        '{"empty": "Order 17 went with Velox. Question: ", '
        '"full": "Order 17 went with Velox. Question: Which carrier took order 17?", '
        '"answer": "Velox"}'
    )
    metrics = (
        Metric(
            name="contrast",
            summary="It tells an empty question from a real one less well.",
            bounds=(-1.0, 1.0),
            chance=0.0,
            reference="Youden 1950, on pairs: says so where nothing is asked, minus where "
            "something is",
        ),
        Metric(
            name="notices",
            summary="Where nothing is asked it makes up something to say, instead of asking.",
        ),
        Metric(name="answers", summary="It answers fewer of the questions that are there."),
    )

    def make(self, draw: Draw) -> Item:
        """Three facts; the form with a question for one of them, and without."""
        kind, index = divmod(draw.family, len(DOMAINS))
        place = thing(DOMAINS[index], draw, style=draw.below(STYLES))
        facts = place.facts(draw.some(place.domain.attributes, 3))
        attribute, value = draw.pick(facts)
        wrong = place.other(attribute, {value for _, value in facts})
        question = place.ask(attribute)
        form = f"{place.write(facts)}\n\n{_FORM}"
        left = tuple(_KINDS.values())[kind](draw, question)
        return _item(f"{form} {left}" if left else form, f"{form} {question}", value, wrong)

    def read(self, record: Record) -> Item:
        """The same prompt `empty` and `full`, and the `answer` to the full one.

        An answer to it that would be `wrong`, if known. Whoever says something else than that
        nothing was asked has not noticed.
        """
        item = _item(
            record.text("empty"),
            record.text("full"),
            record.text("answer"),
            record.text("wrong", ""),
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Put nothing, then the question."""
        nothing = yield from ask(self.put(item))
        full = item.data["full"]
        answer, wrong = item.data["answer"], item.data["wrong"]
        real = yield from ask(self.put(item, full, expects="answer", answer=answer, wrong=wrong))
        notices = says_nothing_is_asked(nothing.text, item.messages[-1].content)
        needless = says_nothing_is_asked(real.text, full)
        return {
            "contrast": float(notices) - float(needless),
            "notices": float(notices),
            "answers": float(gives_answer(real.text, answer, wrong)),
        }


def says_nothing_is_asked(text: str, asked: str) -> bool:
    """Whether the reply asks for the question, or says that there is none."""
    if is_echo(text, asked):
        return False
    return is_clarification(text, asked) or bool(_NOTHING_ASKED.search(plain(text).casefold()))


def _item(empty: str, full: str, answer: str, wrong: str) -> Item:
    """The item is the empty form; the full one travels in `data`."""
    return drawn(
        empty,
        answer="What is your question?",
        wrong=wrong or answer,
        expects="clarify",
        data={"full": full, "answer": answer, "wrong": wrong},
    )
