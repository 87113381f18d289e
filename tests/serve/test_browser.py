"""The pages in a real browser: losses are read and accepted, nothing hostile acts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Dialog, Page, Request

from tests.support import statements
from tests.support.browser import chromium
from tests.support.pages import LOST, Served, serving
from tests.support.signed import write_statement
from ullage.serve.index import Ranked, Writer

pytestmark = pytest.mark.browser

HOSTILE = statements.EVERYTHING + statements.MEGABYTE[:100_000]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, served: Served, width: int = 1280, **options: str) -> Page:
    """A page that went through the printed address."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(served.address)
    assert "token" not in page.url
    return page


def places(served: Served) -> dict[str, str]:
    """Every page there is."""
    run, hostile = served.run("scrubbed"), served.run("hostile")
    names = [served.run(name).removeprefix("/runs/") for name in ("scrubbed", "whole")]
    return {
        "runs": "/",
        "run": run,
        "every": served.run("every"),
        "hostile": hostile,
        "dimension": f"{run}/dimension?name=boundary",
        "items": f"{run}/items?target={LOST}&show=every",
        "item": f"{run}/items/0?target={LOST}&show=every&at=0",
        "accept": f"{run}/accept?target={LOST}",
        "live": served.run("half"),
        "diff": f"/diff?first={names[0]}&second={names[1]}",
        "message": "/nowhere",
        "hostile accept": f"{hostile}/accept?target=clarify.clarifies",
    }


def until(page: Page, told: str) -> None:
    """Wait until it is so. (Playwright's own way needs `eval`, which the pages forbid.)"""
    for _ in range(200):
        if page.evaluate(told):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never: {told}")


def goto(page: Page, served: Served, path: str) -> None:
    """Open a page, once the items that it lists are read."""
    while served.ask(path).status == 202:
        pass
    page.goto(f"http://127.0.0.1:{served.port}{path}")


def test_from_the_list_of_runs_to_a_loss_accepted(
    browser: Browser, own: tuple[Served, Path]
) -> None:
    served, folder = own
    page = opened(browser, served)
    page.get_by_role("link", name="scrubbed", exact=True).click()
    assert "The gate fails" in (page.locator("#gate").text_content() or "")
    losses = page.locator("section[aria-labelledby=lost] article")
    open_losses = losses.count()
    page.locator(f"a[href$='/items?target={LOST}']").click()
    page.wait_for_selector("#show")
    assert page.locator("#show").input_value() == "lost"
    every = page.locator(".pages span").first.text_content()
    page.locator("#show").select_option("every")
    page.wait_for_url("**show=every**")
    assert page.locator(".pages span").first.text_content() != every
    page.go_back()
    page.locator(".asked a").first.click()
    sides = page.locator(".pair .side")
    assert sides.count() >= 4
    assert "teacher" in sides.nth(0).inner_text() and "student" in sides.nth(1).inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**at=1&**")
    for turn in range(open_losses):
        goto(page, served, served.run("scrubbed"))
        page.get_by_role("link", name="Accept this loss").first.click()
        page.get_by_label("Name").fill("Ada Lovelace")
        page.get_by_label("Role").fill("product owner")
        page.get_by_label("Until").fill("2999-12-31")
        page.get_by_label("Because").fill(f"Reason {turn} <script>alert(1)</script>")
        page.get_by_role("button", name="Accept and sign").click()
        assert "Accepted and signed" in page.get_by_role("status").inner_text()
    assert "The gate passes" in (page.locator("#gate").text_content() or "")
    assert "Accepted: each of" in (page.locator("#life").text_content() or "")
    assert len(list(folder.glob("runs/scrubbed/acceptances/*"))) == open_losses
    with page.expect_download() as download:
        page.get_by_role("link", name="statement.json").click()
    kept = json.loads(download.value.path().read_bytes())
    assert kept["kind"] == "ullage.distillation-loss-statement"


def test_everything_can_be_done_without_scripts(browser: Browser, own: tuple[Served, Path]) -> None:
    served, folder = own
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.address)
    page.goto(f"http://127.0.0.1:{served.port}{places(served)['accept']}")
    for name, text in served.acceptance().items():
        if name in ("by", "role", "because", "until"):
            page.fill(f"[name={name}]", text)
    page.click("button")
    assert page.url.endswith(f"?accepted={LOST}")
    assert len(list(folder.glob("runs/scrubbed/acceptances/*"))) == 1


def test_a_page_of_another_site_can_neither_read_nor_write(
    browser: Browser, own: tuple[Served, Path]
) -> None:
    """The user is signed in, and opens a page that sends a form, asks, and frames."""
    served, folder = own
    page = opened(browser, served)
    fields = "".join(
        f'<input name="{name}" value="{value}">' for name, value in served.acceptance().items()
    )
    target = f"http://127.0.0.1:{served.port}{served.run('scrubbed')}"
    crafted = f"""<iframe src="{target}"></iframe>
        <form method="post" action="{target}/accept">{fields}</form>"""
    page.route(
        "http://evil.test/", lambda route: route.fulfill(body=crafted, content_type="text/html")
    )
    page.goto("http://evil.test/")
    asked = page.evaluate(
        "u => fetch(u, {credentials: 'include'}).then(r => r.text(), e => 'refused')", target
    )
    assert asked == "refused"
    assert all("scrubbed" not in frame.content() for frame in page.frames[1:])
    page.evaluate("document.forms[0].submit()")
    page.wait_for_url("**/accept")
    assert "scrubbed" not in page.content()
    assert not (folder / "runs" / "scrubbed" / "acceptances").exists()


@pytest.fixture
def own_index(world: Path, tmp_path: Path) -> Iterator[tuple[Served, Path]]:
    folder = tmp_path / "world"
    shutil.copytree(world, folder)
    with serving(folder, tmp_path / "cache") as running:
        yield running, folder


def hostile_items(served: Served, folder: Path) -> str:
    """The first item of the run, with a hostile text in place of all that was said."""
    run = next(run for run in served.site.runs.every() if run.folder.path.name == "scrubbed")
    plan = run.plan()
    assert plan is not None
    path = served.site.indexes.path_of(run, plan)
    text = HOSTILE.encode("utf-8", "replace").decode()
    with Writer(path) as writer:
        for n in range(3):
            example = statements.hostile(text).findings[0].examples[0]
            writer.add(n, text, example)
        ones, zeros = np.ones(3), np.zeros(3)
        writer.rank(Ranked(LOST, np.arange(3), [text] * 3, ones, zeros, ones))
    return served.run("scrubbed")


@pytest.mark.parametrize("width", [390, 1280])
def test_what_a_model_said_does_nothing_to_the_pages(
    browser: Browser, own_index: tuple[Served, Path], width: int
) -> None:
    served, folder = own_index
    run = hostile_items(served, folder)
    page = opened(browser, served, width)
    did: list[str] = []
    page.on("pageerror", lambda error: did.append(f"error: {error}"))

    def dismiss(dialog: Dialog) -> None:
        did.append("dialog")
        dialog.dismiss()

    def asked(request: Request) -> None:
        if not request.url.startswith((own, "data:,")):
            did.append(request.url)

    page.on("dialog", dismiss)
    page.on("console", lambda message: did.append(f"console: {message.text}"))
    page.on("popup", lambda _: did.append("popup"))
    own = f"http://127.0.0.1:{served.port}/"
    page.on("request", asked)
    write_statement(folder / "runs" / "every", statements.hostile(statements.MEGABYTE))
    paths = [f"{run}/items?target={LOST}", f"{run}/items/0", served.run("hostile"),
             served.run("every"), "/", f"{served.run('hostile')}/accept?target=clarify.clarifies",
             f"{run}/items?target={LOST}&q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"]  # fmt: skip
    for path in paths:
        goto(page, served, path)
        page.mouse.move(200, 300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate("document.body.checkVisibility()")
        scripts = page.evaluate("[...document.querySelectorAll('script')].map(s => s.src)")
        assert all(src == f"{own}static/items.js" for src in scripts)
        assert page.locator("main img, main iframe, main style, main object").count() == 0
    assert did == []


def violations(page: Page) -> list[str]:
    """What axe finds, by axe's own rules, from serious on."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("axe.run()")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(
    browser: Browser, served: Served, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = opened(browser, served, width, color_scheme=scheme)
    for name, path in places(served).items():
        goto(page, served, path)
        assert violations(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.locator("h1").count() == 1, name


def test_axe_would_find_something(browser: Browser, served: Served) -> None:
    page = opened(browser, served)
    page.evaluate("document.querySelector('main').innerHTML += '<input>'")
    assert any(one.startswith("label") for one in violations(page))


def test_a_page_can_be_worked_by_keyboard(browser: Browser, served: Served) -> None:
    page = opened(browser, served)
    goto(page, served, places(served)["items"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("zzz/unsaid")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=zzz**")
    assert "No item is like that." in page.inner_text("main")


def test_a_running_audit_is_followed(browser: Browser, own: tuple[Served, Path]) -> None:
    served, folder = own
    page = opened(browser, served)
    goto(page, served, served.run("half"))
    before = page.inner_text("#told")
    whole = (folder / "runs" / "scrubbed" / "replies.jsonl").read_bytes()
    (folder / "runs" / "half" / "replies.jsonl").write_bytes(whole)
    until(page, f"document.getElementById('told').textContent !== {json.dumps(before)}")
    statement = (folder / "runs" / "scrubbed" / "statement.json").read_bytes()
    (folder / "runs" / "half" / "statement.json").write_bytes(statement)
    page.wait_for_selector("#gate")
