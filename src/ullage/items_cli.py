"""Commands that write what probes ask from: planted corpora and their lists, others' items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ullage.cli_common import Json, print_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Corpus = Annotated[Path, typer.Argument(help="JSONL to train on.", metavar="CORPUS")]
_Lists = Annotated[
    Path | None,
    typer.Option("--lists", metavar="FOLDER", help="Where to keep the lists; left out: here."),
]


def canaries(
    corpus: _Corpus,
    target: Annotated[Path, typer.Argument(help="The same with canaries.", metavar="TARGET")],
    lists: _Lists = None,
    count: Annotated[
        int, typer.Option("--count", min=1, metavar="N", help="Canaries; as many are left out.")
    ] = 200,
    repeats: Annotated[
        list[int] | None,
        typer.Option(
            "--repeats", min=1, metavar="K", help="How often each is there; several take turns."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, other canaries.")] = 0,
    json_: Json = False,
) -> None:
    """Plant made-up secrets in a corpus, and keep the lists that the privacy probes ask from."""
    from ullage.probes.privacy.planting import CANARIES, MEMBERSHIP, plant

    folder = lists or Path()
    _keep_apart([target, folder / CANARIES, folder / MEMBERSHIP], read=[corpus])
    planted = plant(corpus, target, folder, count=count, repeats=tuple(repeats or (1,)), seed=seed)
    _tell(
        f"wrote {target}: {planted.rows} rows, {planted.planted_rows} of them canaries; train on "
        f"it, then name under 'items': canary-exposure, canary-extraction, canary-choice or "
        f"canary-inheritance: {planted.canaries}; membership: {planted.membership}",
        _data(planted),
        json_,
    )


def compositions(
    corpus: _Corpus,
    target: Annotated[Path, typer.Argument(help="The same with compositions.", metavar="TARGET")],
    lists: _Lists = None,
    count: Annotated[
        int, typer.Option("--count", min=1, metavar="N", help="Compositions put into the corpus.")
    ] = 1_000,
    listed: Annotated[
        int, typer.Option("--listed", min=1, metavar="N", help="Items of each list.")
    ] = 1_000,
    answers: Annotated[
        bool,
        typer.Option("--answers", help="With right answers; left out: the teacher gives them."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, other items.")] = 0,
    json_: Json = False,
) -> None:
    """Put compositions into a corpus, and list others, never taught, for the capacity probes."""
    from ullage.probes.capacity.planting import DISTANCES_LIST, PAIRS_LIST, compose

    folder = lists or Path()
    _keep_apart([target, folder / PAIRS_LIST, folder / DISTANCES_LIST], read=[corpus])
    made = compose(corpus, target, folder, count=count, listed=listed, answers=answers, seed=seed)
    _tell(
        f"wrote {target}: {made.rows} rows, {count} of them compositions; train on it, then name "
        f"under 'items': held-out-pairs: {made.pairs}; corpus-distance: {made.distances}",
        _data(made),
        json_,
    )


def distances(
    corpus: Annotated[Path, typer.Argument(help="What was trained on.", metavar="CORPUS")],
    questions: Annotated[
        Path, typer.Argument(help="JSONL of questions with references.", metavar="QUESTIONS")
    ],
    target: Annotated[
        Path,
        typer.Option("--to", metavar="FILE", help="JSONL to write, for probe corpus-distance."),
    ],
    json_: Json = False,
) -> None:
    """Measure how far your questions lie from a corpus, as items of corpus-distance."""
    from ullage.distances import measure

    _keep_apart([target], read=[corpus, questions])
    found = measure(corpus, questions, target)
    _tell(
        f"wrote {target}: questions {found.written}, {found.nearest:.2f} to {found.farthest:.2f} "
        f"from the corpus; left out, as it has them word for word: {found.left_out}",
        _data(found),
        json_,
    )


def requests(
    sources: Annotated[
        list[Path], typer.Argument(help="CSV or JSONL of a public benchmark.", metavar="FILE...")
    ],
    target: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="JSONL to write, for probe refusal-list.")
    ],
    json_: Json = False,
) -> None:
    """Turn AdvBench, HarmBench, Do-Not-Answer or XSTest files into items of refusal-list."""
    from ullage.probes.safety.benchmarks import convert

    _keep_apart([target], read=sources)
    found = list(zip(sources, convert(sources, target), strict=True))
    lines = [
        f"{source}: {one.benchmark}, {one.refuse} to refuse, {one.answer} to answer, "
        f"{one.left_out} left out"
        for source, one in found
    ]
    data = [{"source": str(source), **_data(one)} for source, one in found]
    _tell("\n".join(lines), data, json_)


def _keep_apart(written: Iterable[Path], *, read: Iterable[Path]) -> None:
    """Refuse to write over what is read, or twice to one place.

    Raises:
        InputError: naming the file that would be lost.
    """
    from ullage.errors import InputError

    taken = {path.resolve(): "is read by this command" for path in read}
    for path in written:
        if path.resolve() in taken:
            raise InputError(f"{path}: {taken[path.resolve()]}; name another file to write")
        taken[path.resolve()] = "is what this command writes already"


def _tell(text: str, data: object, json_: bool) -> None:
    """What was written, for a person or for machines."""
    if json_:
        print_json(data)
    else:
        typer.echo(text)


def _data(found: DataclassInstance) -> dict[str, object]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(found).items()
    }
