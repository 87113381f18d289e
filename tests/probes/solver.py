"""Solvers that read generated prompts as a person would, and know nothing of how they were made."""

from __future__ import annotations

import re
from collections import defaultdict

from ullage.probes.domains import DOMAINS, Attribute
from ullage.probes.knowledge import CATEGORIES, RELATIONS

_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
Told = dict[str, dict[str, list[str]]]


def read_context(context: str) -> Told:
    """Entity to attribute label to the values that the context gives."""
    told: Told = defaultdict(lambda: defaultdict(list))
    entity = ""
    for domain in DOMAINS:
        name = rf"{domain.noun} \d{{4}}"
        if not re.search(name, context, re.IGNORECASE):
            continue
        for part in re.split(r"(?<=[.])(?<!Dr\.)\s+|\n|; |: \"|(?<=\d): |says: |know\. ", context):
            if found := re.search(name, part, re.IGNORECASE):
                entity = found.group().lower()
            for attribute in domain.attributes:
                for value in _values(part, attribute):
                    told[entity][attribute.label].append(value)
    return told


def _values(part: str, attribute: Attribute) -> list[str]:
    pattern = re.escape(attribute.statement).replace(r"\{v\}", r"(?P<v>[\w ]+?)")
    found = re.search(rf"(?:^|\d|[Ii]t) {pattern}[.\"]*$", part.strip())
    listed = re.search(rf"^-? ?{re.escape(attribute.label)}: ([\w ]+?)\.?$", part.strip())
    value = found["v"] if found else listed[1] if listed else None
    return [value] if value in attribute.values else []


def read_question(question: str) -> tuple[str, str]:
    """(entity, attribute label) that a question asks for."""
    for domain in DOMAINS:
        for attribute in domain.attributes:
            pattern = re.escape(attribute.question).replace(r"\{e\}", rf"({domain.noun} \d{{4}})")
            if found := re.search(pattern, question):
                return found[1], attribute.label
    raise AssertionError(f"nobody can read: {question}")


def answers(prompt: str) -> list[str]:
    """Every value that a prompt's context gives to what it asks for."""
    context, question = prompt.split("\n\n")
    entity, label = read_question(question)
    return read_context(context)[entity][label]


def solve_choice(prompt: str, options: tuple[str, ...]) -> list[str]:
    """The options that answer the question of a prompt; one, if the item is sound."""
    first = prompt.replace("Choose the right answer.\n", "").split("\n")[0]
    for relation in RELATIONS:
        for question in relation.questions:
            pattern = re.escape(question).replace(r"\{s\}", "(.+)")
            if found := re.fullmatch(pattern, first):
                return [o for o in options if (found[1], o) in relation.pairs]
    if found := re.search(r"(?:names|stands for) an? ([a-z ]+?)[?.]", first):
        return [o for o in options if o in CATEGORIES[found[1]]]
    return [o for o in options if o == compute(first)]


def compute(text: str) -> str:
    """The answer to a small computation in words."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if "more" in text:
        return str(sum(numbers))
    if "gives away" in text:
        return str(numbers[0] - numbers[1])
    if "largest" in text or "greatest" in text:
        return str(max(numbers))
    if "smallest" in text or "least" in text:
        return str(min(numbers))
    if "right after" in text:
        return str(numbers[0] + 1)
    if "right before" in text:
        return str(numbers[0] - 1)
    if "list: " in text:
        words = re.split(r", ", re.search(r"list: ([a-z, ]+)", text)[1])  # type: ignore[index]
        return words[-1] if " last " in text else words[0]
    today = next(day for day in _DAYS if re.search(f"[Tt]oday is {day}", text))
    return _DAYS[(_DAYS.index(today) + numbers[0]) % 7]


def solve_format(family: str, prompt: str) -> str:
    """The answer to a question whose values may be written in several ways."""
    kind = family.split(":")[1]
    if kind == "dates":
        for index, month in enumerate(_MONTHS, start=1):
            written = rf"{month}|-{index:02d}-|\.{index:02d}\."
            if re.search(written, prompt.split("In which", maxsplit=1)[0]):
                return month
    if kind == "whole-dates":
        dates = re.findall(r"bought on (.+) and sold on (.+)\. On which", prompt)[0]
        return str(dates["was it sold" in prompt])
    if kind == "numbers":
        found = re.findall(r"(\w+) offers ([\d.,\u202f]+)( thousand)? euros", prompt)
        amounts = {
            name: float(re.sub(r"[,\u202f]", "", digits)) * (1000 if thousand else 1)
            for name, digits, thousand in found
        }
        return str(max(amounts, key=amounts.__getitem__))
    if kind == "units":
        found = re.findall(r"(\w+) walks ([\d.,]+) (km|kilometres|m|metres)", prompt)
        metres = {
            name: float(digits.replace(",", "")) * (1000 if unit[0] == "k" else 1)
            for name, digits, unit in found
        }
        return str(max(metres, key=metres.__getitem__))
    if kind == "ids":
        told = dict(re.findall(r"([A-Z]{2}-\d{4}) is in (\w+)", prompt))
        letters, digits = re.findall(r"([A-Za-z]{2})[- ]?(\d{4})\?", prompt)[0]
        return str(told[f"{letters.upper()}-{digits}"])
    first = prompt.split(". ", maxsplit=1)[0]
    told = {e.lower(): n for n, e in re.findall(r"(\w+) looks after (\w+ \d{4})", first)}
    return str(told[re.findall(r"after (\w+ \d{4})\?", prompt.lower())[0]])
