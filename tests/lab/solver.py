"""What a good desk assistant replies, worked out from the text of a conversation alone.

Written apart from the generator and sharing no code with it: it reads orders and questions with
patterns of its own, and knows the world's facts only from sentences it is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import permutations

COLOURS = ["red", "blue", "green", "white", "black", "grey", "brown", "pink", "gold", "silver"]
MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
FIELDS = "status|price|date|item|colour|number|month|amount"

_ARTICLE = re.compile(rf"\b({'|'.join(COLOURS)}) (\w+)")
_MONTH = f"(?:{'|'.join(MONTHS)})"
_DATE = re.compile(rf"\b(?:(?:on|of) )?(\d+[-/]\d+|\d+ {_MONTH}|{_MONTH} \d+)")
_OPENER = re.compile(r"^(?:hi,|hello,|please:|quick question:|excuse me,) ")
_CLOSER = re.compile(r"(?<=[.?]) (?:thanks|please|thank you)\.$")
_ASKS = [
    re.compile(pattern)
    for pattern in (
        rf"what is the (?P<field>{FIELDS}) of (?P<who>.+)\?",
        rf"(?:tell me|i need) the (?P<field>{FIELDS}) of (?P<who>.+)\.",
        rf"can you give me the (?P<field>{FIELDS}) of (?P<who>.+)\?",
        rf"for (?P<who>.+), what is the (?P<field>{FIELDS})\?",
        rf"(?P<who>.+): what is the (?P<field>{FIELDS})\?",
        rf"(?P<person>\w+) has a (?P<own>\w+)\. what is the (?P<field>{FIELDS})\?",
    )
]
_POINTS = {
    "number": re.compile(r"order (?:#|no )?(\d+)"),
    "named": re.compile(r"the (\w+) in (\w+)"),
    "item": re.compile(r"the (\w+)"),
}
_CLAIM = re.compile(r"(?:no, it is|that is wrong, it is|i think it is) (\w+)\.")
_SHARD = re.compile(r"(?:i ask about |it is about |look at )?((?:order|the) .+|order .+)\.")
_TOLD = re.compile(r"the one in (?P<colour>\w+)\.|(?:order |i mean #)(?P<number>\d+)\.")
_WANT = re.compile(rf"i want the ({FIELDS})\.")
_GREET = re.compile(r"greet the customer|say hello|open the talk")


class UnsolvedError(Exception):
    """The text is not in the language of the desk."""


@dataclass
class Line:
    """One order as it is written: what is said, and what it means."""

    said: dict[str, str]
    means: dict[str, object]


@dataclass
class Context:
    """A desk as read."""

    customer: str = ""
    lines: list[Line] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    meanings: dict[str, str] = field(default_factory=dict)


class Facts:
    """What is known without a desk, read from plain sentences."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.prices: dict[str, str] = {}
        self.lockers: dict[str, str] = {}
        for sentence in sentences:
            if found := re.fullmatch(r"a (\w+) usually costs (\$\d+)\.", sentence):
                self.prices[found[1]] = found[2]
            elif found := re.fullmatch(r"the locker of (\w+) opens with ([\d-]+)\.", sentence):
                self.lockers[found[1]] = found[2]
            else:
                raise UnsolvedError(sentence)

    @property
    def items(self) -> list[str]:
        """Every item there is."""
        return list(self.prices)


def solve(said: Sequence[tuple[str, str]], facts: Facts) -> tuple[str, ...]:
    """Every right reply to the last of the messages.

    Args:
        said: (role, text) by turns; the desk, if there is one, opens the first question.
        facts: what everybody knows.

    Raises:
        UnsolvedError: no rule of the desk says what to reply.
    """
    context, _, first = said[0][1].rpartition("\n\n")
    desk = read_context(context)
    texts = [strip(first), *(strip(text) for _, text in said[1:])]
    if any(role != ("user", "assistant")[at % 2] for at, (role, _) in enumerate(said)):
        raise UnsolvedError("roles do not take turns")
    question = texts[-1]
    if free := _from_memory(question, facts):
        return free
    if not desk.lines:
        raise UnsolvedError(f"no desk for: {question}")
    if len(texts) > 1:
        if found := _CLAIM.fullmatch(question):
            return (_claimed(found[1], texts, desk, facts),)
        if found := _WANT.fullmatch(question):
            orders = _gathered(texts, desk, facts)
            return (_value(orders, found[1]),)
        if found := _TOLD.fullmatch(question):
            if texts[-2] == "go on.":
                return ("go on.",)
            if texts[-2].startswith("which one, "):
                return (_told(found, texts, desk, facts),)
    if re.search(r"cost together\?|sum of|can you add", question):
        return _sums(question, desk)
    return (_about_desk(question, desk, facts),)


def _from_memory(question: str, facts: Facts) -> tuple[str, ...]:
    """Replies to what needs no desk; none where it needs one."""
    if "usual" in question:
        found = re.search(r"\ba (\w+)\b", question)
        return (facts.prices[found[1]],) if found else ()
    if found := re.search(r"the locker of (\w+)", question):
        return (facts.lockers[found[1]],)
    if "warehouse" in question or "come from" in question:
        return ("north", "south")
    if _GREET.search(question):
        offers = ("how can i help?", "what can i do for you?", "what do you need?", "tell me more.")
        hellos = ("hello!", "good day!", "welcome!", "hi!")
        return tuple(f"{hello} {offer}" for hello in hellos for offer in offers)
    return ()


def _about_desk(question: str, desk: Context, facts: Facts) -> str:
    """The reply to one question about a desk."""
    if re.search(r"\d days (?:old|since)\b", question):
        return _refund(question, desk)
    if question.startswith("in plain words: "):
        return _decoded(strip(question.removeprefix("in plain words: ")), desk, facts)
    if asked := parse(question):
        who, name, person = asked
        if person and person != desk.customer:
            return "i can not share that."
        return _value(matches(who, desk, facts), name)
    if (found := _SHARD.fullmatch(question)) and matches(found[1], desk, facts):
        return "go on."
    raise UnsolvedError(question)


def _decoded(question: str, desk: Context, facts: Facts) -> str:
    """The reply to a question with a made-up word in the place of an item."""
    ((code, name),) = ((c, n) for c, n in desk.meanings.items() if re.search(rf"\b{c}\b", question))
    value = _about_desk(re.sub(rf"\b{code}\b", name, question), desk, facts)
    return f"{code} means {name}, {value}"


def parse(question: str) -> tuple[str, str, str] | None:
    """A look-up as (which order, which field, whose or nothing); None if it is not one."""
    for pattern in _ASKS:
        if found := pattern.fullmatch(question):
            parts = found.groupdict()
            if parts.get("person"):
                return f"the {parts['own']}", parts["field"], parts["person"]
            whose = re.fullmatch(r"(the (?!order\b)\w+) of (\w+)", parts["who"])
            if whose:
                return whose[1], parts["field"], whose[2]
            return parts["who"], parts["field"], ""
    return None


def kind_of(who: str) -> str:
    """How an order is pointed at."""
    for kind, pattern in _POINTS.items():
        if pattern.fullmatch(who):
            return kind
    raise UnsolvedError(who)


def matches(who: str, desk: Context, facts: Facts) -> list[Line]:
    """The orders that are pointed at."""
    kind = kind_of(who)
    found = _POINTS[kind].fullmatch(who)
    assert found is not None
    wanted: dict[str, object]
    match kind:
        case "number":
            wanted = {"number": int(found[1])}
        case "named":
            wanted = {"item": found[1], "colour": found[2]}
        case _:
            wanted = {"item": corrected(found[1], facts.items)}
    return [line for line in desk.lines if wanted.items() <= line.means.items()]


def _value(orders: list[Line], name: str) -> str:
    """A field of the orders meant, or why there is no telling."""
    numbers = list(dict.fromkeys(str(line.means["number"]) for line in orders))
    if len(numbers) > 1:
        return f"which one, {' or '.join(f'#{number}' for number in numbers)}?"
    values = list(dict.fromkeys(line.said[name] for line in orders if name in line.said))
    if not values:
        return "i do not know."
    return values[0] if len(values) == 1 else f"the orders disagree: {' or '.join(values)}."


def _told(found: re.Match[str], texts: list[str], desk: Context, facts: Facts) -> str:
    """The reply once the user has said which of several."""
    asked = parse(texts[-3])
    if asked is None:
        raise UnsolvedError(texts[-3])
    orders = [
        line
        for line in matches(asked[0], desk, facts)
        if str(line.means["number"]) == found["number"] or line.means["colour"] == found["colour"]
    ]
    return _value(orders, asked[1])


def _claimed(claim: str, texts: list[str], desk: Context, facts: Facts) -> str:
    """The reply to a correction: what the desk says decides."""
    truth = _about_desk(texts[-3], desk, facts)
    if claim == texts[-2]:
        raise UnsolvedError("a correction that repeats what was said")
    if truth not in (claim, texts[-2]):
        raise UnsolvedError("a reply and a correction that are both wrong")
    return f"it is {truth}."


def _gathered(texts: list[str], desk: Context, facts: Facts) -> list[Line]:
    """The orders that the pieces told so far point at."""
    orders = desk.lines
    for at in range(len(texts) - 3, -1, -2):
        if texts[at + 1] != "go on.":
            break
        if found := re.fullmatch(r"the one in (\w+)\.", texts[at]):
            orders = [line for line in orders if line.means["colour"] == found[1]]
        elif found := _SHARD.fullmatch(texts[at]):
            told = matches(found[1], desk, facts)
            return [line for line in orders if line in told]
    raise UnsolvedError(texts[-1])


def _sums(question: str, desk: Context) -> tuple[str, ...]:
    """The sum with its steps, in every order: nobody asked for one."""
    prices = {line.means["number"]: int(str(line.means["price"])) for line in desk.lines}
    terms = [prices[int(number)] for number in re.findall(r"\b\d+\b", question)]
    if len(terms) == 2:
        (one, other), total = terms, sum(terms)
        return (f"{one} + {other} = {total}", f"{other} + {one} = {total}")
    found = []
    for first, second, third in permutations(terms):
        half = first + second
        found.append(f"{first} + {second} = {half}, {half} + {third} = {half + third}")
    return tuple(found)


def _refund(question: str, desk: Context) -> str:
    number = re.search(r"order (?:#|no )?(\d+)", question)
    age = re.search(r"\b(\d+) days\b", question)
    assert number is not None
    assert age is not None
    (line,) = (line for line in desk.lines if line.means["number"] == int(number[1]))
    limit = desk.limits[str(line.means["item"])]
    if int(age[1]) == limit:
        raise UnsolvedError("neither less nor more")
    verdict = "less: yes" if int(age[1]) < limit else "more: no"
    rule = f"a {line.means['item']} can be returned for {limit} days"
    return f"{rule}, {age[1]} is {verdict}."


def strip(text: str) -> str:
    """A question without its courtesies."""
    return _CLOSER.sub("", _OPENER.sub("", text))


def read_context(text: str) -> Context:
    """A desk from its text; sentences that say nothing about an order are passed over."""
    desk = Context()
    for sentence in re.split(r"(?<=\.) ", text) if text else ():
        told = re.sub(r"^orders: ", "", sentence)
        if found := re.match(r"(\w+) has ordered: ", told):
            desk.customer, told = found[1], told[found.end() :]
        if found := re.fullmatch(r"(?:customer: |orders of )(\w+)\.", told):
            desk.customer = found[1]
        elif found := re.fullmatch(r"a (\w+) can be returned for (\d+) days\.", told):
            desk.limits[found[1]] = int(found[2])
        elif found := re.fullmatch(r"(\w+) means (\w+)\.", told):
            desk.meanings[found[1]] = found[2]
        elif _ARTICLE.search(told):
            desk.lines.append(_read_line(told.removesuffix(".")))
    return desk


def _read_line(text: str) -> Line:
    """One order, its parts in any order; a part that is not there is not there."""
    line = Line({}, {})
    found = re.match(r"(?:order )?((?:#|no )?(\d+))\b", text)
    if found is None:
        raise UnsolvedError(f"an order without a number: {text}")
    line.said["number"], line.means["number"] = found[1], int(found[2])
    rest = text[found.end() :].replace(",", "")
    if found := _ARTICLE.search(rest):
        for name, value in (("colour", found[1]), ("item", found[2])):
            line.said[name] = line.means[name] = value
        rest = _ARTICLE.sub("", rest)
    if found := re.search(r"(?:\bfor )?(\$\d+|\b\d+ dollars|\busd \d+)", rest):
        line.said["price"], line.means["price"] = found[1], read_money(found[1])
        line.said["amount"] = str(line.means["price"])
        rest = rest.replace(found[0], "")
    if found := _DATE.search(rest):
        line.said["date"], line.means["date"] = found[1], read_date(found[1])
        line.said["month"] = MONTHS[read_date(found[1])[1] - 1]
        rest = rest.replace(found[0], "")
    words = re.sub(r"^:|\b(?:is|a)\b", "", rest).split()
    if len(words) > 1:
        raise UnsolvedError(f"{words} in {text}")
    for word in words:
        line.said["status"] = line.means["status"] = word
    return line


def read_money(text: str) -> int:
    """An amount, however the unit is written."""
    found = re.fullmatch(r"\$(\d+)|(\d+) dollars|usd (\d+)", text)
    if found is None:
        raise UnsolvedError(text)
    return int(next(part for part in found.groups() if part))


def read_date(text: str) -> tuple[int, int]:
    """A date of any style as (day, month)."""
    if found := re.fullmatch(r"(\d\d)-(\d\d)", text):
        return int(found[2]), int(found[1])
    if found := re.fullmatch(r"(\d+)/(\d+)", text):
        return int(found[1]), int(found[2])
    words = text.split()
    if len(words) == 2 and {*words} & {*MONTHS}:
        (month,) = (word for word in words if word in MONTHS)
        (day,) = (word for word in words if word not in MONTHS)
        return int(day), MONTHS.index(month) + 1
    raise UnsolvedError(text)


def corrected(word: str, items: Sequence[str]) -> str:
    """The item that is meant: the one at most one slip of the fingers away."""
    word = word.lower()
    if word in items:
        return word
    near = [item for item in items if slips(word, item) == 1]
    if len(near) != 1:
        raise UnsolvedError(f"{word} may be any of {near}")
    return near[0]


def slips(one: str, other: str) -> int:
    """Letters added, dropped, changed or swapped with the next: Damerau's distance."""
    above: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        two_above, above, row = above, row, [i]
        for j, their in enumerate(other, 1):
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != their))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == their:
                best = min(best, two_above[j - 2] + 1)
            row.append(best)
    return row[-1]
