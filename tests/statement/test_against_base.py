"""A target that is compared with the base says so in every view, and nowhere counts as kept."""

from __future__ import annotations

import pytest

from tests.statement.test_terminal import shown
from tests.support import statements
from ullage.errors import InputError
from ullage.statement.compare import compare
from ullage.statement.document import Statement, Turn, Verdict
from ullage.statement.html import to_html
from ullage.statement.markdown import to_markdown
from ullage.statement.sidebyside import side_by_side
from ullage.statement.standing import picture

SENTENCE = "A target marked 'against base' is compared with that arm instead."
REPLIES = {
    arm: (Turn(role="assistant", content=f"What the {arm} says."),)
    for arm in ("teacher", "student", "base")
}


def judged(against: str) -> Statement:
    example = statements.example(replies=REPLIES)
    return statements.statement(
        [
            statements.finding("teacher-errors.accuracy", Verdict.PRESERVED),
            statements.finding(
                "teacher-errors.repeats",
                Verdict.LOST,
                examples=[example],
                changes={"against": against},
            ),
        ]
    )


def views(statement: Statement) -> list[str]:
    html = to_html(statement).replace("&#39;", "'")
    return [" ".join(text.split()) for text in (to_markdown(statement), html, shown(statement))]


def test_every_view_says_what_it_is_compared_with() -> None:
    for text in views(judged("base")):
        assert SENTENCE in text
        # The sentence, and the one target.
        assert text.count("against base") == 2 + text.count('"lab">Why it matters')
    for text in views(judged("teacher")):
        assert "against base" not in text


def test_examples_show_the_arm_compared_with() -> None:
    markdown = to_markdown(judged("base"))
    assert "What the base says." in markdown
    assert "What the teacher says." not in markdown
    example = statements.example(replies=REPLIES)
    assert list(side_by_side(example, "base")) == ["base", "student"]


def test_it_is_nothing_of_the_teachers_that_is_kept() -> None:
    assert picture(judged("teacher")).other_targets == 2
    assert picture(judged("base")).other_targets == 1


def test_statements_with_other_bases_are_not_compared() -> None:
    first = judged("base")
    base = first.arms["base"].model_copy(update={"identity": "another"})
    second = first.model_copy(update={"arms": {**first.arms, "base": base}})
    with pytest.raises(InputError, match="their bases are different models"):
        compare(first, second)
    # Where nothing is compared with the base, it may be any.
    compare(judged("teacher"), judged("teacher").model_copy(update={"arms": second.arms}))
