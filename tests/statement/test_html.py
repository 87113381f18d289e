from __future__ import annotations

import base64
import hashlib
import re
import time

import pytest

from tests.statement.test_sanitise import reads_as
from tests.support import statements
from ullage.statement.document import Turn, Verdict
from ullage.statement.html import facts, to_html
from ullage.statement.outcome import outcome_sentence
from ullage.statement.plots import axis, interval_plot, scatter
from ullage.statement.sidebyside import compared, side_by_side
from ullage.statement.standing import Standing
from ullage.statement.words import number, percent


def policy_of(page: str) -> str:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert found
    return found[1].replace("&#39;", "'")


def test_the_policy_allows_our_style_by_hash_and_nothing_else() -> None:
    page = to_html(statements.every_verdict())
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy_of(page) == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "</" not in style[1]
    assert "\r" not in page


def test_the_page_is_a_pure_function_of_the_statement() -> None:
    assert to_html(statements.hostile()) == to_html(statements.hostile())


def test_it_has_the_sections_in_the_order_a_product_owner_reads() -> None:
    page = to_html(statements.every_verdict())
    places = [
        page.index(f"<h2 id=\"{name}\">")
        for name in ("picture", "verdicts", "not-known", "losses", "arms", "method", "ledger",
                     "notes", "scope")
    ]  # fmt: skip
    assert places == sorted(places)
    assert page.index(outcome_sentence(statements.every_verdict())) < places[0]


@pytest.mark.parametrize("name", statements.HOSTILE)
def test_only_our_elements_and_attributes_are_there(name: str) -> None:
    ours = {tag.split("[")[0] for tag in reads_as(to_html(statements.every_verdict()))[1]}
    tags = reads_as(to_html(statements.hostile(statements.HOSTILE[name])))[1]
    assert {tag.split("[")[0] for tag in tags} <= ours | {"bdi", "small"}
    assert not any(re.search(r"\[(on\w+|style|src|srcset|action|formaction)=", t) for t in tags)
    links = {match for tag in tags for match in re.findall(r"\[href=([^\]]*)\]", tag)}
    assert all(link == "data:," or re.fullmatch(r"#[\w-]+", link) for link in links)


def test_ids_are_unique_and_links_lead_somewhere() -> None:
    page = to_html(statements.many())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', page))
    targets |= {i for told in re.findall(r'aria-labelledby="([^"]+)"', page) for i in told.split()}
    assert targets <= set(ids)


def test_what_was_not_measured_is_said_in_words_everywhere() -> None:
    page = to_html(statements.bare())
    assert page.count("not measured") >= 5
    assert "no number" in page
    assert "No loss was shown. What was not measured" in page


def test_a_megabyte_reply_makes_no_megabyte_page() -> None:
    page = to_html(statements.hostile(statements.MEGABYTE))
    assert "… 997,600 more characters" in page
    assert len(page) < 300_000


def test_sixty_targets_render_quickly() -> None:
    many = statements.many(60)
    to_html(many)
    start = time.perf_counter()
    to_html(many)
    assert time.perf_counter() - start < 5


def test_comparing_adversarial_replies_ends_soon() -> None:
    left, right = "a b " * 600, "b a c " * 400
    start = time.perf_counter()
    compared(left, right)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("teacher", "student", "marked"),
    [
        ("It leaves at nine.", "It leaves at ten.", ("nine", "ten")),
        ("The same.", "The same.", ()),
        ("One thing.", "Quite another", ()),
        ("<b> & all of it", "<b> & none of it", ("all", "none")),
        ("", "Something", ()),
    ],
)
def test_what_only_one_says_is_marked(teacher: str, student: str, marked: tuple[str, ...]) -> None:
    texts = compared(teacher, student)
    found = [word for text in texts for word in re.findall("<mark>(.*?)</mark>", text)]
    assert tuple(found) == marked
    assert [reads_as(text)[0] for text in texts] == [teacher, student]


def test_a_turn_only_one_arm_has_is_shown_alone() -> None:
    sides = side_by_side(statements.example())
    assert [role for role, _ in sides["teacher"]] == ["assistant", "user", "assistant"]
    assert [role for role, _ in sides["student"]] == ["assistant"]
    no_reply = statements.example(replies={"teacher": (Turn(role="assistant", content="Yes."),)})
    assert side_by_side(no_reply)["student"] == []


@pytest.mark.parametrize("verdict", Verdict)
def test_each_plot_tells_its_numbers_to_who_cannot_see_it(verdict: Verdict) -> None:
    finding = statements.finding("clarify.clarifies", verdict)
    svg = interval_plot(finding, axis([finding]), "x")
    assert 'role="img"' in svg
    assert 'aria-labelledby="x-t x-d"' in svg
    shown = reads_as(svg)[0]
    assert finding.id in shown
    if finding.loss is None:
        assert "no number" in shown
    else:
        assert number(finding.loss.low, 3, sign=True) in shown


def test_the_axis_holds_zero_and_the_margin_whatever_the_losses() -> None:
    for middle in (-30.0, 0.0, 30.0):
        finding = statements.finding(
            "a.a", Verdict.LOST, changes={"loss": statements.estimate(middle, 0.01)}
        )
        drawn = axis([finding])
        assert drawn.low <= -1 < 0 < 1 < 2 <= drawn.high
        for x in re.findall(r"[MLH](-?[\d.]+)", interval_plot(finding, drawn, "x")):
            assert -10 <= float(x) <= 270


def test_labels_of_arms_in_one_spot_do_not_cover_each_other() -> None:
    names = ["teacher", "teacher_again", "base", "control", "student", "derived"]
    svg = scatter(
        [
            Standing(arm=name, performance=1.0, capability=1.0, headline_targets=1, other_targets=1)
            for name in names
        ]
    )
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="t arm-name">(\w+)', svg)
    boxes = [(float(x), float(y), float(x) + 6.5 * len(name)) for x, y, name in texts]
    assert len(boxes) == 6
    for i, (x, y, end) in enumerate(boxes):
        for other_x, other_y, other_end in boxes[:i]:
            assert end <= other_x or other_end <= x or abs(y - other_y) >= 11


def test_facts_are_flat_and_bounded() -> None:
    rows = facts(statements.LEDGER)
    assert ("objective.temperature", "2") in rows
    assert ("signal.thrown_away", "hidden states, attention") in rows
    assert ("losses[1].held_out_kl", "0.42") in rows
    long = facts({str(i): i for i in range(1_000)})
    assert len(long) == 201
    assert long[-1] == ("…", "800 more in statement.json")


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.996, "99.6 %"), (0.00001, "<0.01 %"), (0.999999, ">99.99 %"),
     (0.5, "50 %"), (0.004, "0.4 %")],
)  # fmt: skip
def test_a_percentage_is_certain_only_where_it_is(share: float, shown: str) -> None:
    assert percent(share) == shown
