from __future__ import annotations

import itertools

import pytest
from markdown_it import MarkdownIt

from tests.statement.test_sanitise import flat
from tests.support import statements
from ullage.statement.document import Statement
from ullage.statement.markdown import to_markdown
from ullage.statement.outcome import outcome_sentence

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
HEADINGS = [
    "Verdicts", "What is not known", "What was lost", "Performance against capability",
    "How well this auditor sees", "Scope", "Provenance",
]  # fmt: skip


def headings(text: str) -> list[str]:
    tokens = PARSER.parse(text)
    return [
        after.content
        for token, after in itertools.pairwise(tokens)
        if token.type == "heading_open" and token.tag == "h2"
    ]


@pytest.mark.parametrize(
    "statement",
    [statements.every_verdict(), statements.bare(), statements.all_kept(), statements.many()],
    ids=["every", "bare", "kept", "many"],
)
def test_it_tells_the_outcome_every_target_and_all_that_is_not_known(statement: Statement) -> None:
    text = to_markdown(statement)
    assert headings(text) == HEADINGS
    assert f"**{outcome_sentence(statement)}**" in text
    for finding in statement.findings:
        assert f"`{finding.id}`" in text
    listed = text.split("## What is not known")[1].split("## What was lost")[0]
    assert listed.count("\n- ") == len(statement.not_known)


def test_each_loss_has_one_example_of_both_arms() -> None:
    text = to_markdown(statements.every_verdict())
    assert text.count("The teacher said:") == 4
    assert "Which train are you on: the one at 9:10 or the one at 9:40?" in text
    assert "Your train is the one at 9:10." in text


@pytest.mark.parametrize("name", statements.HOSTILE)
def test_hostile_text_is_only_text(name: str) -> None:
    text = to_markdown(statements.hostile(statements.HOSTILE[name]))
    tokens = flat(PARSER.parse(text))
    kinds = {token.type for token in tokens}
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_block", "hr"}
    assert headings(text) == HEADINGS
    rows = text.split("## Verdicts")[1].split("## What is not known")[0]
    assert rows.count("\n| ") == 4
    assert sum(token.type == "td_open" for token in tokens) == 2 * 7 + 3 * 3
    assert all(char.isprintable() or char == "\n" for char in text.replace("\t", ""))


def test_a_megabyte_reply_stays_compact() -> None:
    text = to_markdown(statements.hostile(statements.MEGABYTE))
    assert len(text) < 30_000
    assert "998,800 more characters" in text
