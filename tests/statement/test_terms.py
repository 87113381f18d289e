"""Whether the teacher's outputs may train a model is said in plain words, and escaped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.statements import every_verdict
from ullage.statement import words
from ullage.statement.html import to_html
from ullage.statement.markdown import to_markdown

STATED = {"may_train": True, "document": "<b>ToS</b> *3*", "read_on": "2026-02-01"}


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        (None, ""),
        ({"teacher": {"model": "hf:x"}}, ""),
        ({"teacher": "hf:x"}, ""),
        ({"teacher": {"terms": None}}, "Nobody has stated whether"),
        ({"teacher": {"terms": STATED}}, "Outputs of the teacher may train a model, says <b>ToS"),
        ({"teacher": {"terms": {**STATED, "may_train": False}}}, "may not train a model"),
    ],
)
def test_what_the_ledger_says(ledger: dict[str, Any] | None, said: str) -> None:
    assert words.terms(ledger).startswith(said) or said in words.terms(ledger)
    assert bool(words.terms(ledger)) == bool(said)


def test_both_views_say_it() -> None:
    ledger = {"teacher": {"model": "openai:x", "terms": STATED}}
    statement = every_verdict().model_copy(update={"distillation": ledger})
    page, text = to_html(statement), to_markdown(statement)
    assert "Outputs of the teacher may train a model" in page
    assert "Outputs of the teacher may train a model" in text
    assert "<b>ToS" not in page
    assert "<b>ToS" not in text
    assert "read on 2026" in text
