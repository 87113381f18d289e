"""Soft instructions: a text that is asked for with three wishes which only a reader can check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from ullage.probes.agency.soft_tasks import TASKS, Task
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import FIRST_NAMES
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.pairwise import EVEN, compare
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.validation import Validation

LABELLED = Path(__file__).parent / "soft_instructions.jsonl"
"""Pairs of replies, labelled by their author with the better one."""

_FORMS = (
    "{task} Please {a}, {b} and {c}.",
    "{task} Three things matter: {a}; {b}; {c}.",
    "{task} Whatever you write, {c}, {a} and {b}.",
    "I need a short text. {task} Mind this: {b}, {c}, and {a}.",
)


class SoftInstructions(PackagedProbe):
    """A few sentences with three wishes that no rule can check: warm, no excuse, blame nobody.

    A judge (arm `judge`) says in both orders whether the arm's reply or the teacher's better does
    what was asked; the teacher is as good as itself. The judge is tried on labelled pairs first.
    """

    name = "soft-instructions"
    dimension = Dimension.AGENCY
    others = frozenset({"judge"})
    families = tuple(f"{task.name}:t{form}" for task in TASKS for form in range(len(_FORMS)))
    max_tokens = 160
    example: ClassVar[str] = (
        '{"prompt": "Tell Mara that her parcel is late. Be warm, blame nobody, and say what '
        'happens next."}'
    )
    metrics = (
        Metric(
            name="as-good",
            summary="Asked for a text with several wishes, it meets them less often than the "
            "teacher.",
            reference="win rate against the teacher, ties half (Zheng et al. 2023, arXiv "
            "2306.05685); corrected by people's labels (Angelopoulos et al. 2023, arXiv "
            "2301.09633 and 2311.01453)",
            even=EVEN,
        ),
    )

    def __init__(self) -> None:
        self.validation = Validation(f"{self.name}-judge", self.dimension, LABELLED)

    def make(self, draw: Draw) -> Item:
        """Somebody, something, and what is to be written about it."""
        place, form = divmod(draw.family, len(_FORMS))
        task = TASKS[place]
        name, thing = divmod(draw.unique(len(FIRST_NAMES) * len(task.things)), len(task.things))
        return _item(task, _FORMS[form], FIRST_NAMES[name], task.things[thing])

    def read(self, record: Record) -> Item:
        """A request with wishes (`messages`, `prompt` or `question`); no reference is needed."""
        return record.named(drawn(record.messages()), self.name)

    def converse(self, item: Item) -> Conversation:
        """Have it write, and the teacher, and ask the judge which is better."""
        request = self.put(item)
        own = yield from ask(request)
        teachers = yield from ask(replace(request, of="teacher"))
        value = yield from compare(
            item.messages,
            own.text,
            teachers.text,
            of="judge",
            subject=self.subject(item),
            declared=EVEN + EVEN * ((own.text == item.answer) - (teachers.text == item.answer)),
        )
        return {"as-good": value}


def _item(task: Task, form: str, name: str, thing: str) -> Item:
    a, b, c = task.wishes
    return drawn(
        form.format(task=task.request.format(name=name, thing=thing), a=a, b=b, c=c),
        answer=task.good.format(name=name, thing=thing),
        wrong=task.bad.format(name=name, thing=thing),
    )
