"""Commands that write what probes ask from: planted corpora and their lists, others' items."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def canaries(
    corpus: Annotated[Path, typer.Argument(help="JSONL to train on.", metavar="CORPUS")],
    target: Annotated[Path, typer.Argument(help="The same with canaries.", metavar="TARGET")],
    lists: Annotated[
        Path | None,
        typer.Option("--lists", metavar="FOLDER", help="Where to keep the lists; left out: here."),
    ] = None,
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
) -> None:
    """Plant made-up secrets in a corpus, and keep the lists that the privacy probes ask from."""
    from ullage.probes.privacy.planting import plant

    folder = lists or Path()
    planted = plant(corpus, target, folder, count=count, repeats=tuple(repeats or (1,)), seed=seed)
    typer.echo(
        f"wrote {target}: {planted.rows} rows, {planted.planted_rows} of them canaries; train on "
        f"it, then name under 'items': canary-exposure, canary-extraction, canary-choice or "
        f"canary-inheritance: {planted.canaries}; membership: {planted.membership}"
    )


def compositions(
    corpus: Annotated[Path, typer.Argument(help="JSONL to train on.", metavar="CORPUS")],
    target: Annotated[Path, typer.Argument(help="The same with compositions.", metavar="TARGET")],
    lists: Annotated[
        Path | None,
        typer.Option("--lists", metavar="FOLDER", help="Where to keep the lists; left out: here."),
    ] = None,
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
) -> None:
    """Put compositions into a corpus, and list others, never taught, for the capacity probes."""
    from ullage.probes.capacity.planting import compose

    made = compose(
        corpus, target, lists or Path(), count=count, listed=listed, answers=answers, seed=seed
    )
    typer.echo(
        f"wrote {target}: {made.rows} rows, {count} of them compositions; train on it, then name "
        f"under 'items': held-out-pairs: {made.pairs}; corpus-distance: {made.distances}"
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
) -> None:
    """Measure how far your questions lie from a corpus, as items of corpus-distance."""
    from ullage.distances import measure

    found = measure(corpus, questions, target)
    typer.echo(
        f"wrote {target}: questions {found.written}, {found.nearest:.2f} to {found.farthest:.2f} "
        f"from the corpus; left out, as it has them word for word: {found.left_out}"
    )


def requests(
    sources: Annotated[
        list[Path], typer.Argument(help="CSV or JSONL of a public benchmark.", metavar="FILE...")
    ],
    target: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="JSONL to write, for probe refusal-list.")
    ],
) -> None:
    """Turn AdvBench, HarmBench, Do-Not-Answer or XSTest files into items of refusal-list."""
    from ullage.probes.safety.benchmarks import convert

    for source, found in zip(sources, convert(sources, target), strict=True):
        typer.echo(
            f"{source}: {found.benchmark}, {found.refuse} to refuse, {found.answer} to answer, "
            f"{found.left_out} left out"
        )
