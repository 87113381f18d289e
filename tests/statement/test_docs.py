from __future__ import annotations

from tests.support import export_examples
from tests.support.statement_reference import PAGE, inserted, reference
from ullage.config.models import Severity
from ullage.statement.document import Verdict
from ullage.statement.exports.formats import Format, Tracker
from ullage.statement.words import VERDICTS


def test_the_field_reference_is_current() -> None:
    page = PAGE.read_text("utf-8")
    assert inserted(page) == page, "run: python -m tests.support.statement_reference"


def test_the_examples_of_exports_are_current() -> None:
    page = export_examples.PAGE.read_text("utf-8")
    assert export_examples.inserted(page) == page, "run: python -m tests.support.export_examples"
    for form in Format:
        assert f"ullage statement export {form} " in page
    for tracker in Tracker:
        assert f"`--to {tracker}`" in page


def test_every_field_says_what_it_is() -> None:
    blank = [line for line in reference().splitlines() if line.endswith("|  |")]
    assert blank == []
    assert "list of [Finding](#finding)" in reference()


def test_the_page_explains_every_verdict_and_severity() -> None:
    page = PAGE.read_text("utf-8")
    for verdict in Verdict:
        assert f"| {VERDICTS[verdict].label} | {VERDICTS[verdict].symbol} |" in page
    assert "| verdict | " + " | ".join(Severity) + " |" in page
