"""`statement.html` in a real browser: what hostile text does to it is nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page

from tests.support import statements
from tests.support.browser import chromium
from ullage.statement import sanitise
from ullage.statement.document import Statement
from ullage.statement.html import to_html
from ullage.statement.sidebyside import REPLY_LIMIT

pytestmark = pytest.mark.browser

STATEMENTS = {
    "every": statements.every_verdict(),
    "kept": statements.all_kept(),
    "bare": statements.bare(),
    "many": statements.many(),
    "hostile": statements.hostile(),
    "megabyte": statements.hostile(statements.MEGABYTE),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


class Watched:
    """A page, and everything it did that a statement must not do."""

    def __init__(self, page: Page, statement: Statement, folder: Path) -> None:
        self.page = page
        self.did: list[str] = []
        path = folder / "statement.html"
        path.write_text(to_html(statement), encoding="utf-8")
        page.on("console", lambda message: self.did.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.did.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("popup", lambda _: self.did.append("popup"))
        page.on("request", lambda request: self._asked(request.url, path.as_uri()))
        page.goto(path.as_uri())

    def _dialog(self, dialog: Dialog) -> None:
        self.did.append("dialog")
        dialog.dismiss()

    def _asked(self, url: str, own: str) -> None:
        if url not in (own, "data:,"):
            self.did.append(f"request: {url}")


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    pages: list[Page] = []

    def open_(
        statement: Statement,
        *,
        width: int = 1280,
        scheme: Literal["light", "dark"] = "light",
    ) -> Watched:
        pages.append(
            browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        )
        return Watched(pages[-1], statement, tmp_path)

    yield open_
    for page in pages:
        page.close()


@pytest.mark.parametrize("name", [*statements.HOSTILE, "everything", "megabyte"])
def test_hostile_text_changes_nothing_but_text(opened: Any, name: str) -> None:
    text = {"everything": statements.EVERYTHING, "megabyte": statements.MEGABYTE}.get(name, "")
    text = text or statements.HOSTILE[name]
    watched = opened(statements.hostile(text), width=390)
    page: Page = watched.page
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    page.keyboard.press("Tab")
    page.mouse.move(200, 200)
    page.mouse.move(180, 500)
    for position in page.locator("h1, .say, code, dd, td, .who").all()[:5]:
        position.click(force=True)
    assert watched.did == []
    assert page.url.partition("#")[0].endswith("/statement.html")
    found = page.evaluate(
        """() => {
        const all = [...document.querySelectorAll('*')];
        const attributes = all.flatMap(e => [...e.attributes]);
        return {
            tags: all.map(e => e.localName).filter(n => [
                'script', 'img', 'iframe', 'object', 'embed', 'form', 'base', 'audio', 'video',
            ].includes(n)),
            styles: document.querySelectorAll('style').length,
            handlers: attributes.filter(a => a.name.startsWith('on')).map(a => a.name),
            links: attributes.filter(a => ['href', 'src', 'xlink:href'].includes(a.name))
                .map(a => a.value).filter(v => !v.startsWith('#') && v !== 'data:,'),
        };}"""
    )
    assert found == {"tags": [], "styles": 1, "handlers": [], "links": []}
    assert page.locator("h1").text_content() == sanitise.visible(text)
    reply = page.locator(".side-teacher .say").first
    assert reply.text_content() == sanitise.visible(text, limit=REPLY_LIMIT, lines=True)
    assert page.evaluate("document.body.checkVisibility()")


def test_no_plain_reply_is_altered(opened: Any) -> None:
    page = opened(statements.every_verdict()).page
    said = page.locator("#losses ~ article .side-student .say").first.text_content()
    assert said == "Your train is the one at 9:10. You arrive at 11:55, at Campanhã."


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_page_never_scrolls_sideways(opened: Any, name: str) -> None:
    watched = opened(STATEMENTS[name])
    page: Page = watched.page
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    for width in (320, 390, 760, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
        assert max(wide) <= width
    assert watched.did == []


CONTRAST = """() => {
    const parse = s => (s.match(/[\\d.]+/g) || []).map(Number);
    const luminance = ([r, g, b]) => {
        const f = c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
        return .2126 * f(r) + .7152 * f(g) + .0722 * f(b);
    };
    const ratio = (a, b) => {
        const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
        return (x + .05) / (y + .05);
    };
    const behind = e => {
        for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] === 1) return c;
        }
        throw new Error('no background');
    };
    const drawn = selector => [...document.querySelectorAll(selector)]
        .map(e => parse(getComputedStyle(e).fill));
    const poor = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    for (let n; n = walker.nextNode();) {
        const e = n.parentElement, style = getComputedStyle(e);
        if (!n.textContent.trim() || ['STYLE', 'title', 'desc'].includes(e.tagName)) continue;
        seen++;
        const svg = e.closest('svg');
        const colour = parse(svg ? style.fill : style.color);
        const grounds = !svg ? [behind(e)]
            : e.classList.contains('plate') ? drawn('.hatched')
            : [behind(svg.parentElement), ...drawn('.frame')];
        const px = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
        const least = px >= 24 || (bold && px >= 18.66) ? 3 : 4.5;
        const got = Math.min(...grounds.map(g => ratio(colour, g)));
        if (got < least) poor.push(`${got.toFixed(2)} ${e.className} ${n.textContent.trim()}`);
    }
    return {seen, poor: [...new Set(poor)].slice(0, 10)};
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["every", "hostile"])
def test_all_text_has_contrast(opened: Any, name: str, scheme: Literal["light", "dark"]) -> None:
    page: Page = opened(STATEMENTS[name], scheme=scheme).page
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 200
    assert found["poor"] == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 25)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shapes_of_verdicts_have_contrast(opened: Any, scheme: Literal["light", "dark"]) -> None:
    """Graphics owe 3 to 1 (WCAG 1.4.11): markers and whiskers against page and band."""
    page: Page = opened(STATEMENTS["every"], scheme=scheme).page
    ratios = page.evaluate(
        """() => {
        const parse = s => (s.match(/[\\d.]+/g) || []).map(Number);
        const l = c => c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
        const grounds = [parse(getComputedStyle(document.body).backgroundColor),
            parse(getComputedStyle(document.querySelector('.band')).fill)];
        return [...document.querySelectorAll('.interval .whisker, .interval .zero')].map(e => {
            const own = l(parse(getComputedStyle(e).stroke));
            return Math.min(...grounds.map(g =>
                (Math.max(own, l(g)) + .05) / (Math.min(own, l(g)) + .05)));
        });}"""
    )
    assert len(ratios) > 20
    assert min(ratios) >= 3


def test_everything_is_reached_with_the_keyboard(opened: Any) -> None:
    page: Page = opened(STATEMENTS["every"], width=390).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    unreachable = page.evaluate(
        """[...document.querySelectorAll('*')].filter(e =>
            e.scrollWidth > e.clientWidth + 1
            && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
            && e.tabIndex < 0).length"""
    )
    assert unreachable == 0
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")


def test_print_shows_what_is_folded_in_light_colours(opened: Any) -> None:
    page: Page = opened(STATEMENTS["every"], scheme="dark").page
    folded = "[...document.querySelectorAll('details .say')].map(e => e.checkVisibility())"
    assert not any(page.evaluate(folded))
    page.emulate_media(media="print")
    shown = page.evaluate(folded)
    assert len(shown) > 5
    assert all(shown)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(27, 29, 34)"


def test_tables_and_headings_are_marked_up_as_such(opened: Any) -> None:
    page: Page = opened(STATEMENTS["every"]).page
    found = page.evaluate(
        """() => ({
        scopeless: document.querySelectorAll('th:not([scope])').length,
        levels: [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.localName[1]),
        pictures: [...document.querySelectorAll('svg')].filter(s =>
            s.getAttribute('aria-hidden') !== 'true'
            && !(s.getAttribute('role') === 'img'
                && s.querySelector('title') && s.querySelector('desc'))).length,
        language: document.documentElement.lang,
    })"""
    )
    levels = found.pop("levels")
    assert found == {"scopeless": 0, "pictures": 0, "language": "en"}
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_unmeasured_stands_as_large_as_lost(opened: Any) -> None:
    for width in (390, 1280):
        page: Page = opened(STATEMENTS["every"], width=width).page
        boxes = {
            name: page.locator(f".tile.v-{name}").bounding_box() for name in ("lost", "unmeasured")
        }
        sizes = {
            name: page.locator(f".tile.v-{name} .count").evaluate(
                "e => [getComputedStyle(e).fontSize, getComputedStyle(e).fontWeight]"
            )
            for name in boxes
        }
        assert boxes["lost"] and boxes["unmeasured"]
        assert boxes["lost"]["width"] == pytest.approx(boxes["unmeasured"]["width"], abs=1)
        assert sizes["lost"] == sizes["unmeasured"]
        headings = [
            page.locator(f"#{name}").evaluate("e => getComputedStyle(e).fontSize")
            for name in ("not-known", "losses")
        ]
        assert headings[0] == headings[1]
