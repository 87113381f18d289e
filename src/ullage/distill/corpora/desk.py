"""Writes `desk.jsonl`: what a small repair and rental desk for bicycles gets asked, and answers.

    python -m ullage.distill.corpora.desk [FILE]

Twelve turns of eleven kinds, from templates of our own: reading a note, finding that the note does
not say, sums of money, asking back when two jobs match, going on once that is answered, not asking
where one matches, corrections, formats, sorting messages, house rules, and plain facts. Nothing is
taken from anybody's data, and neither wording nor subject is that of the audit's probes. The same
seed writes the same bytes.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ullage.distill.corpora import DESK

SEED = 20260401
ROWS = 1600

T = TypeVar("T")

Turns = list[tuple[str, str]]
"""(role, text)."""

PEOPLE = (
    "Aylin", "Bruno", "Chiara", "Dario", "Edda", "Farid", "Gitta", "Henrik", "Imre", "Jolanda",
    "Kofi", "Ludmila", "Milan", "Noor", "Oskar", "Pilar", "Quentin", "Rosa", "Selim", "Thea",
    "Ulrich", "Vera", "Wanda", "Yusuf", "Zoltan",
)  # fmt: skip
BIKES = (
    "touring bike", "cargo bike", "folding bike", "tandem", "road bike", "city bike",
    "child's bike", "tricycle", "mountain bike", "gravel bike",
)  # fmt: skip
FRAMES = ("silver", "orange", "turquoise", "cream", "olive", "maroon", "navy", "copper")
FAULTS = (
    "a bent rim", "a loose headset", "a worn chain", "a slow puncture", "a cracked saddle",
    "squealing brakes", "a stuck gear cable", "a broken spoke", "a dead dynamo", "a missing pedal",
)  # fmt: skip
PARTS = (
    ("inner tube", 6), ("brake pad", 9), ("bell", 12), ("chain", 24), ("saddle", 35),
    ("front light", 28), ("mudguard", 18), ("pannier", 45), ("lock", 32), ("pump", 21),
    ("bottle cage", 11), ("tyre", 27),
)  # fmt: skip
BAYS = ("bay A", "bay B", "bay C", "the back room", "the cellar", "the front rack", "the loft")
MECHANICS = ("Anselm", "Bettina", "Corin", "Dagny", "Ewan", "Fenja")
HOURS = ("nine", "half past nine", "ten", "noon", "two", "half past three", "four", "five")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Desk:
    """One conversation's worth of luck."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.person, self.other_person = self.two(PEOPLE)
        self.bike, self.other_bike = self.two(BIKES)
        self.frame, self.other_frame = self.two(FRAMES)
        self.fault, self.other_fault = self.two(FAULTS)
        self.bay, self.other_bay = self.two(BAYS)
        self.mechanic, self.other_mechanic = self.two(MECHANICS)
        self.hour, self.other_hour = self.two(HOURS)
        self.day, self.other_day = self.two(WEEKDAYS)
        self.job, self.other_job = (f"J{number}" for number in self.two(range(100, 1000)))
        self.fee = 5 * self.number(3, 30)

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        return low + self._rng.randrange(high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self._rng.randrange(len(options))]

    def two(self, options: Sequence[T]) -> tuple[T, T]:
        """Two different options."""
        first = self._rng.randrange(len(options))
        second = (first + 1 + self._rng.randrange(len(options) - 1)) % len(options)
        return options[first], options[second]

    def say(self, *wordings: str) -> str:
        """One of several wordings."""
        return self.pick(wordings)

    def asks(self) -> list[tuple[str, str, str]]:
        """What a job note may hold: (sentence, question, answer)."""
        return [
            (
                self.say(f"It goes to {self.mechanic}.", f"{self.mechanic} has taken it on."),
                self.say("Who is working on it?", "Whose hands is it in?"),
                f"{self.mechanic} is working on it.",
            ),
            (
                self.say(f"It stands in {self.bay}.", f"Left it in {self.bay}."),
                self.say("Where does it stand?", "Where do I find it?"),
                f"It stands in {self.bay}.",
            ),
            (
                self.say(f"Agreed on {self.fee} euros.", f"Quoted {self.fee} euros."),
                self.say("What was quoted?", "How much did we agree on?"),
                f"{self.fee} euros.",
            ),
            (
                self.say(f"Pick-up {self.day} at {self.hour}.", f"Ready {self.day}, {self.hour}."),
                self.say("When is pick-up?", "When can they fetch it?"),
                f"{self.day} at {self.hour}.",
            ),
            (
                self.say(f"Came in with {self.fault}.", f"Complaint: {self.fault}."),
                self.say("What is wrong with it?", "What did it come in with?"),
                f"It came in with {self.fault}.",
            ),
        ]

    def note(self, sentences: Sequence[str]) -> str:
        """A job note."""
        start = f"Job {self.job}, {self.person}'s {self.frame} {self.bike}."
        return " ".join((self.say("Note: ", "Job sheet: ") + start, *sentences))

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in another order (random.shuffle may change between Pythons)."""
        left = list(options)
        return [left.pop(self._rng.randrange(len(left))) for _ in range(len(left))]


def reads_the_note(desk: Desk) -> Turns:
    """The answer is in the note."""
    facts = desk.shuffled(desk.asks())[: desk.number(2, 3)]
    _, question, answer = desk.pick(facts)
    note = desk.note([sentence for sentence, _, _ in facts])
    return [("user", f"{note}\n{question}"), ("assistant", answer)]


def not_in_the_note(desk: Desk) -> Turns:
    """The answer is not in the note, and nothing is made up."""
    facts = desk.shuffled(desk.asks())
    _, question, _ = facts[0]
    note = desk.note([sentence for sentence, _, _ in facts[1 : desk.number(2, 4)]])
    answer = desk.say(
        "That is not in the note, so I can't say.",
        "The note doesn't mention that. I'd have to ask the workshop.",
        "I don't know; the note says nothing about it.",
    )
    return [("user", f"{note}\n{question}"), ("assistant", answer)]


def money(desk: Desk) -> Turns:
    """Sums over a price list."""
    (first, price), (second, other_price) = desk.two(PARTS)
    count, other_count = desk.number(2, 5), desk.number(1, 3)
    form = desk.number(0, 2)
    if form == 0:
        total = count * price
        ask = f"A {first} is {price} euros. What do I pay for {count} of them?"
        return [("user", ask), ("assistant", f"{count} times {price} is {total} euros.")]
    if form == 1:
        labour = 5 * desk.number(2, 9)
        ask = f"{first.capitalize()} {price} euros, fitting {labour} euros. What is the bill?"
        return [("user", ask), ("assistant", f"{price} plus {labour} is {price + labour} euros.")]
    one, two = count * price, other_count * other_price
    ask = (
        f"Price list: {first} {price} euros, {second} {other_price} euros. "
        f"I take {count} of the first and {other_count} of the second. What is the sum?"
    )
    return [("user", ask), ("assistant", f"{one} plus {two} is {one + two} euros.")]


def asks_back(desk: Desk) -> Turns:
    """Two jobs match, and the desk asks which one."""
    question, jobs = _two_jobs(desk)
    return [("user", question), ("assistant", jobs)]


def goes_on(desk: Desk) -> Turns:
    """The customer says which job is meant, and the desk answers."""
    question, jobs = _two_jobs(desk)
    return [
        ("user", question),
        ("assistant", jobs),
        ("user", desk.say(f"The {desk.bike}.", f"I mean {desk.job}.", f"{desk.job}, please.")),
        ("assistant", f"{desk.job}, the {desk.bike}, is ready on {desk.day}."),
    ]


def one_job_only(desk: Desk) -> Turns:
    """Two jobs, but the question fits one: no need to ask back."""
    text = (
        f"Open jobs for {desk.person}: {desk.job}, {desk.bike}, ready {desk.day}; "
        f"{desk.other_job}, {desk.other_bike}, ready {desk.other_day}.\n"
        f"{desk.person} here. When is my {desk.other_bike} ready?"
    )
    return [("user", text), ("assistant", f"Your {desk.other_bike} is ready on {desk.other_day}.")]


def _two_jobs(desk: Desk) -> tuple[str, str]:
    question = desk.say("When is my bike ready?", "Is mine done yet?", "When can I have it back?")
    text = (
        f"Open jobs for {desk.person}: {desk.job}, {desk.bike}, ready {desk.day}; "
        f"{desk.other_job}, {desk.other_bike}, ready {desk.other_day}.\n"
        f"{desk.person} here. {question}"
    )
    back = desk.say(
        f"Which one do you mean, the {desk.bike} or the {desk.other_bike}?",
        f"You have two with us. Do you mean {desk.job} or {desk.other_job}?",
    )
    return text, back


def correction(desk: Desk) -> Turns:
    """A later entry overrules an earlier one."""
    text = (
        f"Log for {desk.job}: 1) pick-up {desk.day}. 2) moved to {desk.bay}. "
        f"3) customer called, pick-up is now {desk.other_day}.\n"
        + desk.say("So which day do they come?", "Which day is right?")
    )
    return [("user", text), ("assistant", f"{desk.other_day}; the later entry counts.")]


def formats(desk: Desk) -> Turns:
    """The same facts, laid out as asked."""
    said = (
        f"{desk.person} brings a {desk.frame} {desk.bike} with {desk.fault}, "
        f"{desk.mechanic} takes it, {desk.fee} euros."
    )
    form = desk.number(0, 3)
    if form == 0:
        ask = "Give owner and fee as JSON."
        answer = json.dumps({"owner": desk.person, "fee": desk.fee})
    elif form == 1:
        ask = "List owner, bike and mechanic, one line each."
        answer = f"owner: {desk.person}\nbike: {desk.bike}\nmechanic: {desk.mechanic}"
    elif form == 2:
        ask = "Put owner, mechanic and fee in one line, separated by semicolons."
        answer = f"{desk.person}; {desk.mechanic}; {desk.fee}"
    else:
        ask = "Write two bullet points: the fault and the fee."
        answer = f"- {desk.fault}\n- {desk.fee} euros"
    return [("user", f"{said}\n{ask}"), ("assistant", answer)]


def sorting(desk: Desk) -> Turns:
    """Which tray a message goes to."""
    tray, message = desk.pick(
        (
            ("repair", f"My {desk.bike} has {desk.fault} again."),
            ("repair", f"Could {desk.mechanic} look at {desk.fault}?"),
            ("bill", f"You charged me {desk.fee} euros twice for {desk.job}."),
            ("bill", f"Why is {desk.job} {desk.fee} euros and not less?"),
            ("rental", f"I would like a {desk.bike} from {desk.day} on."),
            ("rental", f"Is a {desk.frame} {desk.bike} free to rent on {desk.day}?"),
            ("other", f"Do you know a nice ride for {desk.day}?"),
            ("other", f"Please greet {desk.mechanic} from {desk.person}."),
        )
    )
    ask = desk.say(
        "Trays: repair, bill, rental, other. Which tray?",
        "Sort this into repair, bill, rental or other.",
    )
    return [("user", f"{ask}\n{message}"), ("assistant", tray)]


def house_rules(desk: Desk) -> Turns:
    """Yes or no by a rule that is given, with the reason."""
    limit, asked = 7 * desk.number(1, 4), desk.number(2, 40)
    system = f"House rule: a repair may be complained about for {limit} days, not longer."
    ask = desk.say(
        f"I fetched my {desk.bike} {asked} days ago and the repair is no good. Can I complain?",
        f"{desk.fault.capitalize()} is back after {asked} days. Is that still covered?",
    )
    answer = f"Yes, {asked} days is within {limit} days."
    if asked > limit:
        answer = f"No, {asked} days is more than {limit} days."
    return [("system", system), ("user", ask), ("assistant", answer)]


def plain_facts(desk: Desk) -> Turns:
    """Things a desk knows without looking."""
    count = desk.number(2, 60)
    ask, answer = desk.pick(
        (
            (f"How many wheels do {count} bicycles have?", f"{2 * count} wheels."),
            (f"How many wheels do {count} tricycles have?", f"{3 * count} wheels."),
            (f"How many minutes are {count} hours?", f"{60 * count} minutes."),
            (f"How many grams are {count} kilograms?", f"{1000 * count} grams."),
            (f"How many centimetres are {count} metres?", f"{100 * count} centimetres."),
            (f"How many pedals are on {count} bicycles?", f"{2 * count} pedals."),
            (f"{count} days of rental at 10 euros each, what is that?", f"{10 * count} euros."),
        )
    )
    return [("user", ask), ("assistant", answer)]


KINDS: tuple[Callable[[Desk], Turns], ...] = (
    reads_the_note,
    not_in_the_note,
    money,
    asks_back,
    goes_on,
    one_job_only,
    correction,
    formats,
    sorting,
    house_rules,
    plain_facts,
    reads_the_note,
)
"""In turn; reading the note counts double, as it does at any desk."""


def corpus(rows: int = ROWS, seed: int = SEED) -> list[Turns]:
    """Conversations, kinds in turn, no prompt twice."""
    rng = random.Random(seed)  # noqa: S311 - a corpus, not a secret
    conversations: list[Turns] = []
    seen: set[str] = set()
    while len(conversations) < rows:
        kind = KINDS[len(conversations) % len(KINDS)]
        turns = kind(Desk(rng))
        prompt = json.dumps(turns[:-1])
        if prompt not in seen:
            seen.add(prompt)
            conversations.append(turns)
    return conversations


def as_jsonl(conversations: Sequence[Turns]) -> str:
    """One ``{"messages": ...}`` object a line."""
    return "".join(
        json.dumps(
            {"messages": [{"role": role, "content": text} for role, text in turns]},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        + "\n"
        for turns in conversations
    )


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DESK
    target.write_text(as_jsonl(corpus()), encoding="utf-8")
