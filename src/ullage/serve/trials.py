"""The pages of a blind trial: a task, a conversation with an arm nobody names, two questions.

Everything on them comes from `Sitting`, which holds no arm. They have no way to the other pages,
where teacher and student stand side by side by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ullage.errors import InputError, UllageError
from ullage.serve.pages import refused
from ullage.serve.security import form_of
from ullage.serve.site import NotThereError, Site
from ullage.trial.log import Outcome
from ullage.trial.room import LONGEST_MESSAGE, LONGEST_NAME, STEP, Room

Page = Callable[[Site, Room, Request], Awaitable[Response]]

OUTCOMES: dict[Outcome, str] = {"yes": "Yes", "partly": "Partly", "no": "No"}
"""Answers to whether somebody got where they wanted; giving up has a button of its own."""
SHARES = range(0, 101, STEP)
_FORMS = {"referrer-policy": "same-origin"}
"""Without a referrer a browser does not say where a form comes from, not even to ourselves."""


def page(function: Page) -> Callable[[Request], Awaitable[Response]]:
    """A handler of a page of the trial that is on."""

    @wraps(function)
    async def handler(request: Request) -> Response:
        site: Site = request.app.state.site
        try:
            if site.room is None:
                raise NotThereError("No trial is on.")
            return await function(site, site.room, request)
        except (NotThereError, UllageError) as error:
            return refused(site, error)

    return handler


@page
async def welcome(site: Site, room: Room, request: Request) -> Response:
    """What a trial is, and under which name somebody takes part."""
    return _welcome(site, "")


@page
async def join(site: Site, room: Room, request: Request) -> Response:
    """Take part, or go on."""
    try:
        person = room.join(form_of(request.scope).get("name", ""))
    except InputError as error:
        return _welcome(site, str(error))
    return _to(person)


@page
async def work(site: Site, room: Room, request: Request) -> Response:
    """The task that is due, and what was said about it."""
    return _work(site, room, request.path_params["person"])


@page
async def act(site: Site, room: Room, request: Request) -> Response:
    """Say something, ask again, or tell how it went."""
    person, form = request.path_params["person"], form_of(request.scope)
    place, turn = (_number(form.get(name, "")) for name in ("place", "turn"))
    try:
        match form.get("do", ""):
            case "say":
                await room.say(person, place, turn, form.get("text", ""))
            case "again":
                await room.ask_again(person, place)
            case "leave":
                room.end(person, place, "abandoned", None)
            case "end":
                room.end(person, place, *_told(form))
    except InputError as error:
        return _work(site, room, person, str(error), form)
    return _to(person)


def _told(form: dict[str, str]) -> tuple[Outcome, int]:
    """Both answers of a form.

    Raises:
        InputError: one is missing.
    """
    own = _number(form.get("own", ""))
    for outcome in OUTCOMES:
        if form.get("outcome") == outcome and own in SHARES:
            return outcome, own
    raise InputError("How it went: both questions need an answer.")


def _welcome(site: Site, problem: str) -> Response:
    status = 422 if problem else 200
    return site.page("trial.html.j2", status, _FORMS, problem=problem, longest=LONGEST_NAME)


def _work(
    site: Site, room: Room, person: int, problem: str = "", form: dict[str, str] | None = None
) -> Response:
    sitting = room.sitting(person)
    if sitting is None:
        raise NotThereError("Nobody takes part under that number.")
    headers = _FORMS | ({"refresh": "3"} if sitting.waiting else {})
    return site.page(
        "sitting.html.j2",
        422 if problem else 200,
        headers,
        at=sitting,
        problem=problem,
        form=form or {},
        outcomes=OUTCOMES,
        shares=SHARES,
        longest=LONGEST_MESSAGE,
    )


def _to(person: int) -> Response:
    return RedirectResponse(f"/trial/{person}", status_code=303)


def _number(text: str) -> int:
    """What a field of ours holds; −1, which is nowhere, where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
