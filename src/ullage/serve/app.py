"""The application: addresses and what answers them, behind the guard."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ullage.serve import consenting, pages, trials
from ullage.serve.security import Guard
from ullage.serve.site import Site

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_STATIC = {
    "statement.css": ("ullage.statement", "templates", "text/css"),
    "pages.css": ("ullage.serve", "static", "text/css"),
    "live.js": ("ullage.serve", "static", "text/javascript"),
    "items.js": ("ullage.serve", "static", "text/javascript"),
    "trial.js": ("ullage.serve", "static", "text/javascript"),
}
"""Every file of ours that a page may load: its package, folder and kind."""


def make_app(site: Site) -> ASGIApp:
    """The pages of a site, behind the guard."""
    run = "/runs/{run}"
    app = Starlette(
        routes=[
            Route("/", pages.every_run),
            Route(run, pages.one_run),
            Route(f"{run}/statement", pages.whole_statement),
            Route(f"{run}/dimension", pages.dimension),
            Route(f"{run}/items", pages.items),
            Route(f"{run}/items/{{n:int}}", pages.item),
            Route(f"{run}/accept", consenting.accept_form),
            Route(f"{run}/accept", consenting.accept, methods=["POST"]),
            Route(f"{run}/withdraw", consenting.withdraw_form),
            Route(f"{run}/withdraw", consenting.withdraw, methods=["POST"]),
            Route(f"{run}/files/{{name}}", pages.download),
            Route("/trainings/{training}", pages.training),
            Route("/diff", pages.difference),
            Route("/trial", trials.welcome),
            Route("/trial", trials.join, methods=["POST"]),
            Route("/trial/{person:int}", trials.work),
            Route("/trial/{person:int}", trials.act, methods=["POST"]),
            Route("/static/{name}", static),
        ],
        exception_handlers={404: _not_found, 500: _failed},
    )
    app.state.site = site
    return Guard(app, site.access)


def static(request: Request) -> Response:
    """A style sheet or a script of ours."""
    name = request.path_params["name"]
    if name not in _STATIC:
        return _not_found(request, LookupError())
    return Response(
        _content(name),
        media_type=_STATIC[name][2],
        headers={"cache-control": "private, max-age=3600"},
    )


@cache
def _content(name: str) -> bytes:
    package, folder, _ = _STATIC[name]
    return files(package).joinpath(folder, name).read_bytes()


def _not_found(request: Request, error: Exception) -> Response:
    site: Site = request.app.state.site
    return site.page("message.html.j2", 404, title="Not there", told="This address leads nowhere.")


def _failed(request: Request, error: Exception) -> Response:
    """What failed stands in the terminal."""
    return PlainTextResponse(
        "Something of ours failed; the terminal where `ullage serve` runs says what.\n", 500
    )
