"""`ullage serve`: pages over a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.statement_cli import Root, SigningKey

FOLDER = Path("runs")


def serve(
    folder: Annotated[Path, typer.Argument(help="Folder that holds run folders.")] = FOLDER,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; another machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.", min=0)] = 8715,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="What browsers call this machine, beyond it; repeatable."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="The gate's policy: whose consent counts."),
    ] = None,
    trial: Annotated[
        Path | None,
        typer.Option("--trial", metavar="FILE", help="Hold the blind trial of that file."),
    ] = None,
    key: SigningKey = None,
    root: Root = None,
) -> None:
    """Read, compare and accept in a browser; for this machine alone, at the address it prints."""
    import asyncio

    from ullage.config.trial import load_trial
    from ullage.errors import InputError
    from ullage.statement.words import several

    try:
        from ullage.serve import server
    except ModuleNotFoundError as error:
        raise InputError(
            f"serve: {error.name} is not installed; pip install 'ullage[serve]'"
        ) from error
    loaded = None if trial is None else load_trial(trial)
    listening = server.listen(host, port)
    port = listening.getsockname()[1]
    access = server.make_access(host, port, name or ())
    site = server.make_site(folder, access, policy=policy, key=key, root=root)
    called = name[0] if name else f"[{host}]" if ":" in host else host
    start = "" if trial is None else "trial"
    address = f"http://{called}:{port}/{start}?token={access.token}"
    found = several(len(site.runs.every()), "run")
    typer.echo(f"{folder}: {found}, at\n\n  {address}\n\nCtrl-C stops it.")
    asyncio.run(server.run(site, listening, loaded))
