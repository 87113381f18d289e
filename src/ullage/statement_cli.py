"""`ullage statement`: read one, compare two, sign, accept a loss, and check all of it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ullage.cli_common import (
    Json,
    On,
    Place,
    PolicyFile,
    day,
    open_console,
    print_json,
    read_place,
)
from ullage.export_cli import export_statement, log_statement

if TYPE_CHECKING:
    from ullage.statement.document import Statement

statement_app = typer.Typer(help="Read, compare, sign, accept, verify and export statements.")
statement_app.command("export")(export_statement)
statement_app.command("log")(log_statement)

SigningKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Private key to sign with.  [default: the text in $ULLAGE_SIGNING_KEY]",
    ),
]
Weights = Annotated[
    Path | None, typer.Option("--weights", metavar="FOLDER", help="The student's weights.")
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        help="Folder of the configuration.  [default: as the run folder's place tells]",
    ),
]
Target = Annotated[str, typer.Argument(help="probe.metric, as in the statement.", metavar="TARGET")]
Beside = Annotated[
    Path, typer.Argument(help="A run folder or a statement.json.", metavar="STATEMENT")
]
HERE = Path()


class Cost(StrEnum):
    """As `ullage.statement.frontier.Cost`, which is not loaded to show help."""

    WEIGHTS = "weights"
    TOKENS = "tokens"
    MONEY = "money"


class View(StrEnum):
    """How a statement can be shown."""

    TERMINAL = "terminal"
    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"


@statement_app.command("show")
def show(
    place: Place,
    view: Annotated[View, typer.Option("--as", help="How to show it.")] = View.TERMINAL,
) -> None:
    """Show a statement on the terminal, or print it as Markdown, HTML or JSON."""
    from ullage.statement.acceptance import read_records
    from ullage.statement.consent import consents

    statement, path = read_place(place)
    if view is View.JSON:
        typer.echo(path.read_text("utf-8"), nl=False)
        return
    found = consents(statement, read_records(path.parent))
    if view is View.TERMINAL:
        from ullage.statement.terminal import render

        render(statement, open_console(stderr=False), found=found)
    elif view is View.MARKDOWN:
        from ullage.statement.markdown import to_markdown

        typer.echo(to_markdown(statement, found), nl=False)
    else:
        from ullage.statement.html import to_html

        typer.echo(to_html(statement, found), nl=False)


@statement_app.command("diff")
def diff(
    first: Annotated[
        Path, typer.Argument(help="A run folder or a statement.json.", metavar="FIRST")
    ],
    second: Annotated[Path, typer.Argument(help="What is compared with it.", metavar="SECOND")],
    force: Annotated[
        bool, typer.Option("--force", help="Compare although teachers or targets differ.")
    ] = False,
    policy: PolicyFile = None,
    on: On = None,
    json_: Json = False,
) -> None:
    """Set two statements about one teacher side by side."""
    from ullage.differences import paired_differences
    from ullage.gate import consents_beside
    from ullage.statement.compare import compare, labels
    from ullage.statement.compare_terminal import render

    one, other = read_place(first), read_place(second)
    today = day("--on", on)
    compared = compare(
        one[0],
        other[0],
        labels=labels(one[0], other[0], (one[1], other[1])),
        force=force,
        paired=paired_differences(one, other),
        found=(consents_beside(*one, policy, today), consents_beside(*other, policy, today)),
    )
    if json_:
        sys.stdout.write(compared.to_json())
    else:
        render(compared, open_console(stderr=False))


@statement_app.command("chain")
def chain(
    places: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders or statement.json files, in the order the models were made.",
            metavar="STATEMENT...",
        ),
    ],
    json_: Json = False,
) -> None:
    """Tell apart what each step took, from the teacher to the last student."""
    from itertools import pairwise

    from ullage.differences import paired_differences
    from ullage.statement.chain import chain as take_apart
    from ullage.statement.lineage_terminal import render_chain

    read = [read_place(place) for place in places]
    paired = [paired_differences(one, other) for one, other in pairwise(read)]
    told = take_apart(_labelled(read), paired)
    if json_:
        sys.stdout.write(told.to_json())
    else:
        render_chain(told, open_console(stderr=False))


@statement_app.command("frontier")
def frontier(
    places: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders or statement.json files about students of one teacher.",
            metavar="STATEMENT...",
        ),
    ],
    cost: Annotated[
        Cost | None,
        typer.Option("--cost", help="What they cost.  [default: the first of these that all tell]"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the picture there.")
    ] = None,
    json_: Json = False,
) -> None:
    """Hold several students of one teacher against what they cost."""
    from ullage.files import write_whole
    from ullage.statement.frontier import Cost as FrontierCost
    from ullage.statement.frontier import frontier as hold
    from ullage.statement.frontier_page import to_html
    from ullage.statement.lineage_terminal import render_frontier

    told = hold(
        _labelled([read_place(place) for place in places]), FrontierCost(cost) if cost else None
    )
    if html is not None:
        write_whole(html, to_html(told).encode())
    if json_:
        sys.stdout.write(told.to_json())
    else:
        render_frontier(told, open_console(stderr=False))


def _labelled(read: list[tuple[Statement, Path]]) -> list[tuple[str, Statement]]:
    """Statements with what tells them apart: names of audits, of run folders, or their places."""
    for names in (
        [statement.name for statement, _ in read],
        [path.resolve().parent.name for _, path in read],
    ):
        if len(set(names)) == len(names) and all(names):
            return [(name, statement) for name, (statement, _) in zip(names, read, strict=True)]
    return [(f"{at}", statement) for at, (statement, _) in enumerate(read, 1)]


@statement_app.command("keygen")
def make_key(
    path: Annotated[
        Path, typer.Argument(help="Private key; its public half gets .pub.", metavar="FILE")
    ],
) -> None:
    """Make a key to sign with (Ed25519); encrypted if $ULLAGE_SIGNING_KEY_PASSWORD is set."""
    from ullage.statement.keys import keygen

    public = keygen(path)
    typer.echo(f"wrote {path} (keep it secret) and {path}.pub (give it away)")
    typer.echo(f"key {public.keyid}")


@statement_app.command("sign")
def sign(place: Place, key: SigningKey = None, weights: Weights = None, root: Root = None) -> None:
    """Sign a run's statement, with the student's weights as its subject."""
    from ullage.signing import sign_run
    from ullage.statement.keys import open_signer

    _, path = read_place(place)
    signer = open_signer(key)
    written = sign_run(path.parent, signer, weights=weights, root=root)
    typer.echo(f"wrote {written}, signed with key {signer.keyid[:16]}…")


@statement_app.command("verify")
def verify(
    place: Place,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="FILE", help="Public key of a trusted signer; repeatable."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Trust the keys of its signed_by."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FOLDER", help="What shall be the weights judged."),
    ] = None,
    root: Root = None,
    json_: Json = False,
) -> None:
    """Check form, signature, files, weights and findings; name the first thing that is off."""
    from ullage.errors import InputError
    from ullage.statement.keys import open_verifier
    from ullage.statement.policy import Trust, load_policy
    from ullage.verify import verify as verify_run

    trusted = [open_verifier(one) for one in key or ()]
    if policy is not None:
        trusted += Trust(load_policy(policy), policy.parent).statement_keys
    if not trusted:
        raise InputError("no key to trust; give the signer's public key: --key FILE.pub")
    folder = place if place.is_dir() else place.parent
    checks = verify_run(folder, trusted, weights=weights, root=root)
    holds = all(check.holds for check in checks)
    if json_:
        found = [
            {"check": check.name, "holds": check.holds, "told": check.told} for check in checks
        ]
        print_json({"kind": "ullage.verification", "holds": holds, "checks": found})
    else:
        for check in checks:
            typer.echo(f"{'ok ' if check.holds else 'OFF'}  {check.name:<10} {check.told}")
    raise typer.Exit(0 if holds else 1)


@statement_app.command("accept")
def accept_loss(
    target: Target,
    place: Beside = HERE,
    *,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who accepts.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="As what.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why.")],
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="The last day it holds.")],
    mitigation: Annotated[
        str, typer.Option("--mitigation", metavar="TEXT", help="What is done about it.")
    ] = "",
    key: SigningKey = None,
) -> None:
    """Put a name to one loss: who accepts it, why, and until when. Signed."""
    from ullage.statement.keys import open_signer
    from ullage.statement.store import give_consent

    last = day("--until", until)
    written = give_consent(
        read_place(place)[1],
        target,
        by=by,
        role=role,
        because=because,
        mitigation=mitigation,
        accepted=day("--on", None),
        until=last,
        signer=open_signer(key),
    )
    typer.echo(f"wrote {written}: {target} accepted until {last}")


@statement_app.command("withdraw")
def withdraw_consent(
    target: Target,
    place: Beside = HERE,
    *,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who takes it back.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why.")],
    key: SigningKey = None,
) -> None:
    """Take the acceptance of a loss back. Signed."""
    from ullage.statement.keys import open_signer
    from ullage.statement.store import take_consent_back

    written = take_consent_back(
        read_place(place)[1],
        target,
        by=by,
        because=because,
        withdrawn=day("--on", None),
        signer=open_signer(key),
    )
    for file in written:
        typer.echo(f"wrote {file}: {target} is accepted no more")


@statement_app.command("list")
def list_consents(
    place: Beside = HERE, policy: PolicyFile = None, on: On = None, json_: Json = False
) -> None:
    """List every loss, who accepted it and until when; without a policy no signature is checked."""
    from ullage.gate import consents_beside
    from ullage.statement.consent import life
    from ullage.statement.consent_terminal import render, rows

    statement, path = read_place(place)
    found = consents_beside(statement, path, policy, day("--on", on))
    if json_:
        print_json({"state": str(life(statement, found)), "targets": rows(statement, found)})
    else:
        render(statement, found, open_console(stderr=False), checked=policy is not None)
