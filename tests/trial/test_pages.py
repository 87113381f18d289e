"""A trial over a real server: what is logged, and that nothing tells the arm."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from tests.statement.test_sanitise import reads_as
from tests.support import statements
from tests.support.pages import Answer, Served
from tests.support.server import Fault, LoopbackServer
from tests.support.trials import NAMES, act, holding, lines_of, send, write_trial
from ullage.errors import InputError
from ullage.serve.security import MOST_BODY

_TOLD = ("teacher", "student", *NAMES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_trial(tmp_path)


def arms_of(file: Path) -> dict[tuple[int, str], str]:
    return {(line["person"], line["task"]): line["arm"] for line in lines_of(file, "begun")}


def test_a_trial_from_the_name_to_the_log(file: Path) -> None:
    with holding(file) as served:
        answer = send(served, "/trial", name="  ada \t one ")
        assert (answer.status, answer.headers["location"]) == (303, "/trial/1")
        assert "Task 1 of 2" in served.ask("/trial/1").text
        assert act(served, 1, "say", text="Where is it?").status == 303
        assert "It is in the drawer." in served.ask("/trial/1").text
        act(served, 1, "say", text="Sure?")
        act(served, 1, "end", outcome="partly", own="30")
        assert "Task 2 of 2" in served.ask("/trial/1").text
        act(served, 1, "say", text="And this?")
        act(served, 1, "leave")
        assert "All done" in served.ask("/trial/1").text
    first, second = lines_of(file, "ended")
    assert (first["outcome"], first["own"], first["turns"], first["open"]) == (
        "partly",
        30,
        2,
        False,
    )
    assert (second["outcome"], second["own"], second["turns"]) == ("abandoned", None, 1)
    assert {first["arm"], second["arm"]} == {"teacher", "student"}
    assert [line["text"] for line in lines_of(file, "asked")] == [
        "Where is it?",
        "Sure?",
        "And this?",
    ]
    assert [line["name"] for line in lines_of(file, "joined")] == ["ada one"]


def seen(served: Served, person: int, name: str) -> list[tuple[int, dict[str, str], str]]:
    """Everything that a person's browser gets in a trial, but for their number and name."""
    answers: list[Answer] = []

    def get() -> None:
        answers.append(served.ask(f"/trial/{person}"))

    get()
    for _ in range(2):
        for text in ("Where is it?", "Sure?"):
            answers.append(act(served, person, "say", text=text))
            get()
        answers.append(act(served, person, "end", outcome="yes"))
        answers.append(act(served, person, "end", outcome="yes", own="0"))
        get()
    return [
        (
            one.status,
            {k: v.replace(f"/trial/{person}", "") for k, v in one.headers.items() if k != "date"},
            one.text.replace(f"/trial/{person}", "").replace(name, "NAME"),
        )
        for one in answers
    ]


def test_nothing_tells_the_arm(file: Path) -> None:
    """The same task with the teacher and with the student, which say the same: the same bytes."""
    with holding(file) as served:
        for name in ("ann", "bob"):
            send(served, "/trial", name=name)
        first, second = seen(served, 1, "ann"), seen(served, 2, "bob")
    assert first == second
    arms = arms_of(file)
    assert all({arms[1, task], arms[2, task]} == {"teacher", "student"} for task in ("t0", "t1"))
    for _, headers, text in first:
        assert not any(word in f"{headers}{text}" for word in _TOLD)


def test_why_an_arm_fails_is_not_shown(tmp_path: Path) -> None:
    """And what was said stays, to be asked again."""
    with LoopbackServer(faults=[Fault("http_500", contains="Where?", times=1)]) as endpoint:
        options = f'{{base_url: "{endpoint.url}", max_attempts: 1}}'
        arm = f'{{model: "openai:BIGMODEL", openai: {options}}}'
        file = write_trial(tmp_path, teacher=arm, student=arm)
        with holding(file) as served:
            send(served, "/trial", name="ann")
            assert act(served, 1, "say", text="Where?").status == 303
            page = served.ask("/trial/1").text
            assert "No answer came." in page and "Ask again" in page and "Where?" in page
            assert not any(word in page for word in (*_TOLD, "http 500", "http:"))
            act(served, 1, "again")
            page = served.ask("/trial/1").text
            assert "No answer came." not in page
            act(served, 1, "end", outcome="no", own="100")
    assert len(lines_of(file, "failed")) == 1 and "500" in lines_of(file, "failed")[0]["reason"]
    assert [line["turns"] for line in lines_of(file, "ended")] == [1]


def test_a_long_answer_is_shown_to_its_end(tmp_path: Path) -> None:
    file = write_trial(tmp_path, "word " * 3000 + "the end")
    with holding(file) as served:
        send(served, "/trial", name="ann")
        act(served, 1, "say", text="Where?")
        assert "the end" in served.ask("/trial/1").text


def test_what_was_sent_before_is_not_sent_again(file: Path) -> None:
    with holding(file) as served:
        send(served, "/trial", name="ann")
        say = {"do": "say", "place": "1", "turn": "0", "text": "Once."}
        for _ in range(2):
            assert send(served, "/trial/1", **say).status == 303
        end = {"do": "end", "place": "1", "turn": "1", "outcome": "yes", "own": "0"}
        for _ in range(2):
            assert send(served, "/trial/1", **end).status == 303
        for place in ("0", "3", "x", "99999999999"):
            assert send(served, "/trial/1", do="leave", place=place).status == 303
    assert len(lines_of(file, "asked")) == len(lines_of(file, "ended")) == 1


def test_no_more_is_said_than_the_protocol_allows(file: Path) -> None:
    with holding(file) as served:
        send(served, "/trial", name="ann")
        for turn in range(5):
            send(served, "/trial/1", do="say", place="1", turn=str(turn), text="More.")
        assert "That was the last message" in served.ask("/trial/1").text
    assert len(lines_of(file, "asked")) == 3


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"do": "end", "outcome": "yes"}, "both questions"),
        ({"do": "end", "own": "30"}, "both questions"),
        ({"do": "end", "outcome": "abandoned", "own": "30"}, "both questions"),
        ({"do": "end", "outcome": "yes", "own": "31"}, "both questions"),
        ({"do": "say", "text": " "}, "write 1 to"),
        ({"do": "say", "text": "x" * 8001}, "write 1 to"),
    ],
)
def test_a_bad_form_is_said_and_nothing_is_logged(
    file: Path, form: dict[str, str], said: str
) -> None:
    with holding(file) as served:
        send(served, "/trial", name="ann")
        answer = act(served, 1, **form)
        assert answer.status == 422 and said in unescape(answer.text)
        for name in ("", "   ", "x" * 61):
            assert send(served, "/trial", name=name).status == 422
        assert served.ask("/trial/2").status == served.ask("/trial/x").status == 404
    assert not lines_of(file, "ended") and not lines_of(file, "asked")


def test_only_our_own_forms_are_taken(file: Path) -> None:
    with holding(file) as served:
        send(served, "/trial", name="ann")
        for path in ("/trial", "/trial/1"):
            assert served.ask(path, form={"do": "leave", "place": "1"}).status == 403
            foreign = {"Origin": "http://evil.test"}
            form = {"csrf": served.site.access.csrf, "name": "eve"}
            assert served.ask(path, form=form, headers=foreign).status == 403
            assert served.ask(path, headers={"Cookie": None}).status == 401
        huge = {"csrf": served.site.access.csrf, "text": "x" * MOST_BODY}
        assert served.ask("/trial/1", form=huge).status == 413
    assert len(lines_of(file, "joined")) == 1


def test_the_pages_of_a_trial_lead_to_no_other(file: Path) -> None:
    with holding(file) as served:
        send(served, "/trial", name="ann")
        for path in ("/trial", "/trial/1"):
            assert set(re.findall(r'(?:href|action)="(/[^"]*)"', served.ask(path).text)) <= {
                "/trial", "/trial/1", "/static/statement.css", "/static/pages.css",
            }  # fmt: skip


@pytest.mark.parametrize("name", statements.HOSTILE)
def test_hostile_replies_and_names_are_only_text(tmp_path: Path, name: str) -> None:
    text = statements.HOSTILE[name]
    file = write_trial(tmp_path, text if text.strip() else "x")
    with holding(file) as served:
        send(served, "/trial", name=text.encode("utf-8", "replace").decode()[:60])
        act(served, 1, "say", text=text.encode("utf-8", "replace").decode())
        page = served.ask("/trial/1").text
    names = {tag.split("[")[0] for tag in reads_as(page)[1]}
    assert not names & {"img", "svg", "iframe", "object", "embed", "style", "b", "base", "h5"}
    assert all("[src=/static/trial.js]" in tag for tag in reads_as(page)[1] if tag[:6] == "script")
    assert "\x1b" not in page and "\u202e" not in page


def test_a_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("")
    file = write_trial(tmp_path, teacher='{model: "recorded:r.jsonl"}')
    with pytest.raises(InputError, match=r"arms\.teacher\.model: a recording cannot be talked to"):
        import asyncio

        from ullage.config.trial import load_trial
        from ullage.trial.room import opened

        async def enter() -> None:
            async with opened(load_trial(file)):
                pass

        asyncio.run(enter())
