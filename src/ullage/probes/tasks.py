"""The user's own questions: headline tasks, and own items for the packaged probes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ullage.config.models import Task
from ullage.errors import InputError
from ullage.models.types import Ask
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.jsonl import Record, check, records
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, Probe, ask
from ullage.probes.scoring import check_rule, score


class TaskProbe(Probe):
    """A JSONL of questions with references, scored by the task's rule; metric ``score``.

    Each line holds `messages` (or `prompt`, or `question`), `reference` (or `references`, or
    `answer`), and where wanted `choices`, `family` and `id`.
    """

    def __init__(self, task: Task, path: Path) -> None:
        """Read the whole file once, so that every mistake in it is known now.

        Raises:
            InputError: for a rule or a line that cannot be used, with file and line.
        """
        self.name = task.name
        self.task = task
        self.path = path
        self.dimension = Dimension(task.dimension)
        self.metrics = (
            Metric(name="score", summary=f"It does worse on your own questions ({task.name})."),
        )
        try:
            check_rule(task.rule)
        except InputError as error:
            raise InputError(f"task '{task.name}': {error}") from None
        checked = check(path, self.read)
        self.size = checked.size
        self.source = checked.source

    def items(self, seed: int) -> Iterator[Item]:
        """The file's lines, in order, whatever the seed."""
        return map(self.read, records(self.path))

    def read(self, record: Record) -> Item:
        """The item of one line.

        Raises:
            InputError: if the line lacks what the task's rule needs.
        """
        references, choices = record.references(), record.texts("choices")
        kind = self.task.rule.kind
        if not references and kind != "regex":
            record.refuse(f"no reference, and rule '{kind}' needs one; give 'reference'")
        if kind == "choice" and not choices:
            record.refuse("rule 'choice' needs 'choices'; give the list of options")
        if kind == "choice":
            for reference in references:
                record.check_among(choices, reference)
        if kind == "numeric" and not any(score(r, (r,), self.task.rule) for r in references):
            record.refuse(f"reference '{references[0]}' holds no number, which 'numeric' compares")
        item = drawn(
            record.messages(),
            answer=references[0] if references else "",
            wrong=next((choice for choice in choices if choice not in references), ""),
            choices=choices,
            data={"references": list(references)},
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask once and apply the rule."""
        reply = yield from ask(
            Ask(
                messages=item.messages,
                max_tokens=self.task.max_tokens,
                subject=item.subject(self.name),
            )
        )
        references = item.data["references"]
        return {"score": score(reply.text, references, self.task.rule, item.choices)}


class OwnItems(Probe):
    """A packaged probe with its items read from a user's file instead of generated."""

    def __init__(self, probe: PackagedProbe, path: Path) -> None:
        """Read the whole file once, so that every mistake in it is known now."""
        self.probe = probe
        self.path = path
        self.name = probe.name
        self.dimension = probe.dimension
        self.access = probe.access
        self.others = probe.others
        self.validation = probe.validation
        self.is_planted = probe.is_planted
        self.gaps = probe.gaps
        self.instead = probe.instead
        self.metrics = probe.metrics
        checked = check(path, self._read)
        self.size = checked.size
        self.source = checked.source

    def items(self, seed: int) -> Iterator[Item]:
        """The file's lines, in order, whatever the seed."""
        return map(self._read, records(self.path))

    def converse(self, item: Item) -> Conversation:
        """As the probe itself does."""
        return self.probe.converse(item)

    def _read(self, record: Record) -> Item:
        return self.probe.read(record)


def with_items(probe: Probe, path: Path) -> Probe:
    """The probe with a user's items (`docs/items.md` gives each probe's form).

    Raises:
        InputError: if the probe reads none, or a line is not in its form.
    """
    if not isinstance(probe, PackagedProbe):
        raise InputError(
            f"items: probe '{probe.name}' generates its own items and reads none; "
            "leave it out of 'items'"
        )
    return OwnItems(probe, path)
