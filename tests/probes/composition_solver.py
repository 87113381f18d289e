"""Working a composition out from its prompt alone; shares no code with the probes."""

from __future__ import annotations

import re

_FRUIT = r"[a-z]+(?:, [a-z]+)+"


def solve(prompt: str) -> str:
    """The answer to a prompt of `held-out-pairs` or `corpus-distance`."""
    value, steps = read(prompt)
    tables = {
        name: dict(re.findall(r"(\w+)-(\w+)", told))
        for name, told in re.findall(r"([A-Z]): ((?:\w+-\w+(?:, )?)+)", prompt)
    }
    for step in steps:
        value = _step(value, step, tables)
    return value


def read(prompt: str) -> tuple[str, list[str]]:
    """What it starts from, and its steps in their order."""
    found = re.search(
        rf"(?:made-up word: ([a-z]+)|number: (\d+)|list: ({_FRUIT})|Start with (\w+))\.", prompt
    )
    assert found is not None, prompt
    start = next(filter(None, found.groups()))
    if listed := re.search(r"in this order: ([^.]+)\.", prompt):
        return start, listed[1].split("; ")
    told = re.search(r"First ([^.]+)\.", prompt)
    assert told is not None, prompt
    return start, told[1].split(", then ")


def _step(value: str, step: str, tables: dict[str, dict[str, str]]) -> str:
    if found := re.fullmatch(r"look it up in ([A-Z])", step):
        return tables[found[1]][value]
    if value.isdecimal():
        return str(_count(int(value), step))
    if "," in value or "entr" in step or "rice" in step:
        return ", ".join(_order(value.split(", "), step.replace("entry", "letter")))
    return "".join(_order(list(value), step))


def _count(number: int, step: str) -> int:
    digits = [int(digit) for digit in str(number)]
    match step:
        case "add 7":
            return number + 7
        case "take it from 500":
            return 500 - number
        case "add its own last digit":
            return number + digits[-1]
        case "add the sum of its digits":
            return number + sum(digits)
        case "cross out its last digit":
            return int(str(number)[:-1])
        case "swap its last two digits":
            digits[-2:] = digits[:-3:-1]
            return int("".join(map(str, digits)))
    assert step == "turn its last digit into 1", step
    return int(str(number)[:-1] + "1")


def _order(parts: list[str], step: str) -> list[str]:
    moved = list(parts)
    match step:
        case "write it backwards" | "turn its order round":
            return list(reversed(parts))
        case "move its first letter to the end":
            moved.append(moved.pop(0))
        case "move its second letter to the end":
            moved.append(moved.pop(1))
        case "move its third letter to the front":
            moved.insert(0, moved.pop(2))
        case "put a copy of its last letter in front" | "write its last letter in front as well":
            moved.insert(0, moved[-1])
        case "leave out its third letter":
            del moved[2]
        case "double its first letter":
            moved.insert(0, moved[0])
        case "swap its first two letters" | "swap its first two entries":
            moved[0], moved[1] = moved[1], moved[0]
        case "put the letter o in front":
            moved.insert(0, "o")
        case _:
            assert step == "put rice in front", step
            moved.insert(0, "rice")
    return moved
