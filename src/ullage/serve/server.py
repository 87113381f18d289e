"""Listening: on this machine alone, unless somebody chose a token for others."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import uvicorn

from ullage.config.trial import LoadedTrial
from ullage.errors import InputError
from ullage.serve.app import make_app
from ullage.serve.indexing import Indexes
from ullage.serve.runs import Runs
from ullage.serve.security import Access
from ullage.serve.site import Site
from ullage.statement.keys import KEY_ENV, Signer, open_signer
from ullage.statement.policy import load_policy
from ullage.trial.room import opened

TOKEN_ENV = "ULLAGE_SERVE_TOKEN"  # noqa: S105 - the name of a variable, not a token
"""The variable that may hold a token. Not an option: a command line can be read by every user."""
_SHORTEST = 20
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        InputError: it is taken, or no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(
            f"--host {host} --port {port}: cannot listen there ({error}); give another, or --port 0"
        ) from error
    return listening


def make_access(
    host: str, port: int, names: Sequence[str] = (), env: Mapping[str, str] = os.environ
) -> Access:
    """Who may come in.

    Args:
        host: where it listens.
        port: the same.
        names: what else browsers may call this machine, where it listens beyond itself.
        env: may hold a token.

    Raises:
        InputError: it listens beyond this machine, and nobody chose a token.
    """
    token, local = env.get(TOKEN_ENV, ""), _is_local(host)
    if token and len(token) < _SHORTEST:
        raise InputError(
            f"${TOKEN_ENV}: is shorter than {_SHORTEST} characters; choose a longer one"
        )
    if not local and not token:
        raise InputError(
            f"--host {host}: reaches beyond this machine; put a token of your choice in "
            f"${TOKEN_ENV} (without TLS before it, whoever sees the traffic sees the token)"
        )
    if names and local:
        raise InputError("--name: only this machine is listened to; give --host as well")
    called = set(_LOCAL_NAMES)
    if not local:
        called |= {f"[{host}]" if ":" in host else host, *(name.lower() for name in names)}
    return Access(
        token=token or secrets.token_urlsafe(32),
        # Behind a proxy a browser names no port, or another's; the proxy passes that on.
        hosts=frozenset([*(f"{name}:{port}" for name in called), *(n.lower() for n in names)]),
        cookie_name=f"ullage-{port}",
    )


def make_site(
    folder: Path,
    access: Access,
    *,
    policy: Path | None = None,
    key: str | None = None,
    root: Path | None = None,
) -> Site:
    """The pages over a folder of runs.

    Raises:
        InputError: there is no such folder, or the key or the policy cannot be used.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name one that holds runs")
    if policy is not None:
        load_policy(policy)
    signer: Signer | None = None
    if key is not None or os.environ.get(KEY_ENV):
        signer = open_signer(key)
    return Site(Runs(folder), access, Indexes(root), signer, policy)


def make_server(site: Site) -> uvicorn.Server:
    """What answers, to be run on sockets that listen."""
    return uvicorn.Server(
        uvicorn.Config(
            make_app(site),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,  # addresses hold the token
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
        )
    )


async def run(site: Site, listening: socket.socket, trial: LoadedTrial | None = None) -> None:
    """Answer until it is stopped.

    Args:
        site: the pages.
        listening: where.
        trial: a blind trial that is on meanwhile; its arms are loaded first.

    Raises:
        UllageError: the trial cannot be held.
    """
    site.indexes.prune()
    if trial is None:
        await make_server(site).serve(sockets=[listening])
        return
    async with opened(trial) as room:
        await make_server(replace(site, room=room)).serve(sockets=[listening])


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
