"""Compositions of small operations, of which some may be taught and others never are.

Which of two operations may follow which is a tournament: of "f, then g" and "g, then f" exactly one
is *in the family* and may stand in a training corpus. It is Paley's on seven vertices, g - f being
a quadratic residue modulo 7, in which every operation comes first, and second, in as many taught
as untaught pairs. So a held-out composition has operations that were all taught, as often in either
place, in prompts of the same words; only the joint between them is new (systematicity: Lake &
Baroni 2018, arXiv 1711.00350; Hupkes et al. 2020, arXiv 1908.08795).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise, permutations

from ullage.probes.capacity.operations import KINDS, Kind

Composition = tuple[int, ...]
"""Operations by number, in the order in which they are done."""

_COUNT = 7
_TAUGHT = frozenset({1, 2, 4})
"""The quadratic residues modulo 7."""

CORPUS, PROBES = 0, 1
"""Halves of the things that are operated on: what a corpus has is never asked."""
_FORMS = (
    "{given} {steps}. What do you get? Give only the answer.",
    "{given} Do this, in this order: {listed}. Reply with the result alone.",
    "What is the result of this? {given} {steps}. Answer with nothing but the result.",
)
FORMS = len(_FORMS)
_MOST = 100
"""Usable cases that are looked for; each is put in every form."""
_NUMBERS = frozenset({"1", "7", "500"})
"""Those that stand in a prompt anyway."""


@dataclass(frozen=True, slots=True)
class Question:
    """One composition put to one thing."""

    prompt: str
    answer: str
    wrong: str
    """What the same operations give in the opposite order."""
    choices: tuple[str, ...]


def is_taught(composition: Composition) -> bool:
    """Whether every joint of it may stand in a corpus."""
    return unseen_joints(composition) == 0


def unseen_joints(composition: Composition) -> int:
    """How many neighbours in it are never neighbours in a corpus."""
    return sum((b - a) % _COUNT not in _TAUGHT for a, b in pairwise(composition))


def distance(composition: Composition) -> float:
    """Distance to the corpus: the share of its joints that are unseen, from 0 to 1."""
    return unseen_joints(composition) / (len(composition) - 1)


PAIRS = tuple(pair for pair in permutations(range(_COUNT), 2) if is_taught(pair))
"""The taught one of every two operations' orders; the held-out one is its reverse."""
TRIPLES = tuple(
    chain
    for three in combinations(range(_COUNT), 3)
    for chain in permutations(three)
    if is_taught(chain) and is_taught((chain[0], chain[2]))
)
"""Three operations, taught in this order: of the others four have one unseen joint, one has two."""


def orders(composition: Composition, unseen: int) -> tuple[Composition, ...]:
    """The orders of its operations with so many unseen joints."""
    return tuple(one for one in permutations(composition) if unseen_joints(one) == unseen)


def question(kind: Kind, composition: Composition, index: int, form: int) -> Question:
    """The composition on case `index`, put in one of `FORMS` ways."""
    case = kind.case(index)
    does = [case.operations[place].says for place in composition]
    prompt = _FORMS[form].format(
        given=case.given(composition),
        steps=f"First {does[0]}, " + ", ".join(f"then {one}" for one in does[1:]),
        listed="; ".join(does),
    )
    return Question(prompt, case.run(composition), case.run(composition[::-1]), case.choices)


@lru_cache(maxsize=1024)
def usable(place: int, composition: Composition, half: int) -> tuple[int, ...]:
    """Cases of a kind (by its place in `KINDS`) on which all orders of some operations can be told.

    Every order has an answer, which is neither what one started from nor that of the opposite
    order. Only cases of one half are given, `_MOST` at most.
    """
    kind = KINDS[place]
    # Neighbours differ in little: a stride that shares no factor with the number of cases.
    step = next(one for one in (10_007, 10_009) if kind.cases % one)
    found: list[int] = []
    for turn in range(kind.cases):
        index = turn * step % kind.cases
        if index % 2 == half and _can_be_told(kind, composition, index):
            found.append(index)
            if len(found) == _MOST:
                break
    return tuple(found)


def _can_be_told(kind: Kind, composition: Composition, index: int) -> bool:
    case = kind.case(index)
    answers = {}
    for order in permutations(composition):
        answers[order] = answer = case.run(order)
        opposite = answers.get(order[::-1], "")
        if not answer or answer in _NUMBERS or answer in (case.start, opposite):
            return False
    return True
