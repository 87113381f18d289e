"""What takes long is done once, and whoever asks meanwhile is told that it is under way."""

from __future__ import annotations

import threading

import pytest

from ullage.errors import InputError
from ullage.serve.background import Task, Tasks


def test_all_who_ask_wait_for_one_making() -> None:
    tasks, go, made = Tasks[str](), threading.Event(), []

    def make(task: Task[str]) -> str:
        made.append(task)
        task.done = 3
        go.wait()
        return "done"

    first = tasks.ask("a", make, what="it failed", total=7)
    assert isinstance(first, Task) and (first.done, first.total) == (3, 7)
    assert tasks.ask("a", make, what="it failed") is first
    assert tasks.ask("b", lambda _: "other", what="it failed") == "other"
    go.set()
    assert tasks.ask("a", make, what="it failed") == "done"
    assert made == [first]
    assert tasks.ask("a", lambda _: "anew", what="it failed") == "anew"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("error", "told"),
    [(InputError("a: is b; do c"), "a: is b; do c"), (KeyError("x"), "it failed .KeyError.")],
)
def test_why_it_failed_is_said_and_it_can_be_asked_again(error: Exception, told: str) -> None:
    tasks = Tasks[str]()

    def fail(task: Task[str]) -> str:
        raise error

    with pytest.raises(InputError, match=told):
        tasks.ask("a", fail, what="it failed")
    assert tasks.ask("a", lambda _: "mended", what="it failed") == "mended"
