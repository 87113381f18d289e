"""How far a capability reaches, as the page and the model card tell it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from tests.statement.test_sanitise import reads_as
from tests.support import statements
from tests.support.statements import REACH, point, reaching
from ullage.statement.curve import curve
from ullage.statement.document import Generalisation
from ullage.statement.html import to_html
from ullage.statement.markdown import to_markdown


def drawn(found: Generalisation) -> ET.Element:
    return ET.fromstring(str(curve(found, "A title", "c1")))


def test_every_point_is_where_its_number_says() -> None:
    """Both axes are straight lines, and up is better."""
    circles = list(drawn(REACH).iter("circle"))
    x, y = ([float(node.get(name, "")) for node in circles] for name in ("cx", "cy"))
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.05)
    assert y[0] < y[1] < y[2]
    assert y[1] - y[0] == pytest.approx(y[2] - y[1], abs=0.05)
    zero = next(node for node in drawn(REACH).iter("path") if node.get("class") == "zero")
    assert re.match(rf"M\d+ {y[0]:.2f}H", zero.get("d", ""))


def test_it_is_told_to_who_cannot_see_it() -> None:
    svg = drawn(REACH)
    told = {node.get("id"): node.text for node in svg if node.tag in ("title", "desc")}
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == "c1-t c1-d"
    assert told["c1-t"] == "A title"
    assert "at 0.5: −0.25 [−0.35, −0.15]" in (told["c1-d"] or "")


def test_the_band_is_there_only_with_a_line() -> None:
    kinds = [node.get("class") for node in drawn(REACH).iter("path")]
    assert kinds.count("reach-band") == kinds.count("reach-line") == 1
    bare = drawn(REACH.model_copy(update={"line": ()}))
    assert not {"reach-band", "reach-line"} & {node.get("class") for node in bare.iter("path")}


@pytest.mark.parametrize("estimate", [-1.0, 0.0, 1.0])
def test_nothing_is_drawn_outside_the_picture(estimate: float) -> None:
    found = REACH.model_copy(update={"points": (point(0.3, estimate, 0.0),), "line": ()})
    svg = drawn(found)
    width, height = (float(size) for size in svg.get("viewBox", "").split()[2:])
    for node in svg.iter("circle"):
        assert 0 < float(node.get("cx", "")) < width
        assert 0 < float(node.get("cy", "")) < height


def test_page_and_card_say_the_word_and_why() -> None:
    page = to_html(reaching(REACH))
    assert '<h2 id="reach">' in page
    assert page.index('id="verdicts"') < page.index('id="reach"') < page.index('id="not-known"')
    assert "lookup-like</strong>. It falls behind." in page
    assert "**lookup-like**. It falls behind." in to_markdown(reaching(REACH))


def test_without_a_curve_there_is_no_such_part() -> None:
    assert 'id="reach"' not in to_html(statements.every_verdict())
    assert "Principle or lookup" not in to_markdown(statements.every_verdict())


@pytest.mark.parametrize("name", statements.HOSTILE)
def test_hostile_text_is_shown_and_never_obeyed(name: str) -> None:
    text = statements.HOSTILE[name]
    hostile = REACH.model_copy(update={"why": text, "axis": text})
    ours = {tag.split("[")[0] for tag in reads_as(to_html(reaching(REACH)))[1]}
    tags = reads_as(to_html(reaching(hostile)))[1]
    assert {tag.split("[")[0] for tag in tags} <= ours | {"bdi", "small"}
    assert not any(re.search(r"\[(on\w+|style|src|srcset|action|formaction)=", tag) for tag in tags)
    assert not set("\u202e\u200b\x1b") & set(str(curve(hostile, text, "c1")))
