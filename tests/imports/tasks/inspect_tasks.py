"""Small tasks for Inspect: a number, a choice asked twice, and a graded one with two scorers."""
# mypy: disable-error-code="untyped-decorator"

from typing import Any

from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset, Sample, json_dataset
from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    NOANSWER,
    PARTIAL,
    Score,
    Scorer,
    Target,
    accuracy,
    includes,
    match,
    mean,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate


def _read(name: str, answer: str) -> MemoryDataset:
    def sample(record: dict[str, Any]) -> Sample:
        choices = record.get("choices")
        target = choices[record["gold"]] if isinstance(choices, list) else record["answer"]
        metadata = {key: record[key] for key in ("topic", "way") if key in record}
        return Sample(
            input=f"{record['question']} {answer}",
            target=str(target),
            id=str(record["id"]),
            metadata=metadata,
        )

    return json_dataset(f"{name}.jsonl", sample)


@task(version=3)
def sums() -> Task:
    """Once, with one scorer."""
    return Task(
        dataset=_read("sums", "Answer with a number."),
        solver=generate(),
        scorer=match(numeric=True, location="any"),
    )


@task
def capitals() -> Task:
    """Three epochs, of which the mean counts."""
    return Task(
        dataset=_read("capitals", "...? Answer with one word."),
        solver=generate(),
        scorer=includes(),
        epochs=Epochs(3, "mean"),
    )


@scorer(metrics=[accuracy(), stderr()])
def graded() -> Scorer:
    """Every grade there is: right, begun right, said nothing, wrong."""

    async def score(state: TaskState, target: Target) -> Score:
        said, wanted = state.output.completion.lower(), target.text.lower()
        if wanted in said:
            return Score(value=CORRECT, answer=said)
        if wanted[:2] in said:
            return Score(value=PARTIAL, answer=said)
        return Score(value=INCORRECT if said.strip() else NOANSWER, answer=said)

    return score


@scorer(metrics={"length": [mean()], "shouts": [mean()]})
def manner() -> Scorer:
    """Two numbers of one reply, one of them beyond 1."""

    async def score(state: TaskState, target: Target) -> Score:
        said = state.output.completion
        return Score(value={"length": float(len(said)), "shouts": "!" in said})

    return score


@task
def words() -> Task:
    """Several scorers, one of them with two values."""
    dataset = [*_read("past", "...? Answer with one word."), *_read("young", "...?")]
    return Task(dataset=MemoryDataset(dataset), solver=generate(), scorer=[graded(), manner()])


@task
def homes() -> Task:
    """A few, for a log in JSON."""
    return Task(dataset=_read("homes", "...?"), solver=generate(), scorer=includes())
