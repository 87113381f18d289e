"""Every command's help ends with an example, and the command takes it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from ullage.cli import app
from ullage.help_cli import EXAMPLES


def commands() -> Iterator[tuple[str, Any]]:
    """(words after ``ullage``, command) of all that can be run."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if not (inner := getattr(command, "commands", {})):
            yield " ".join(words), command
        for name, one in inner.items():
            yield from below(one, (*words, name))

    return below(typer.main.get_command(app), ())


def test_there_is_one_for_every_command_and_no_other() -> None:
    assert sorted(EXAMPLES) == sorted(name for name, _ in commands())


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda one: str(one)[:30])
def test_the_command_takes_its_example(name: str, command: Any) -> None:
    words = shlex.split(EXAMPLES[name])
    named = ["ullage", *name.split()]
    assert words[: len(named)] == named
    command.make_context(name, words[len(named) :])  # raises where it does not


def test_help_tells_it() -> None:
    told = CliRunner().invoke(app, ["statement", "frontier", "--help"]).output
    assert " ".join(told.split()).endswith(f"Example: {EXAMPLES['statement frontier']}")


def test_commands_are_listed_by_whole_sentences() -> None:
    for words in ([], ["statement"], ["cache"], ["lab"], ["trial"]):
        assert (
            "..." not in CliRunner().invoke(app, [*words, "--help"]).output.partition("Commands")[2]
        )
