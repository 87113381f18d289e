"""The pages in a real browser: losses are read and accepted, nothing hostile acts."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
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
from ullage.distill.history import FILE as HISTORY
from ullage.distill.history import Line
from ullage.gate import run_gate
from ullage.scores import read_scores
from ullage.serve.index import Ranked, Writer
from ullage.statement.store import read
from ullage.statement.words import LOSSES

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
        "capacity": f"{served.run('reach')}/dimension?name=capacity",
        "training": training(served, "student"),
        "made": training(served, "tutor"),
        "items": f"{run}/items?target={LOST}&show=every",
        "item": f"{run}/items/0?target={LOST}&show=every&at=0",
        "accept": f"{run}/accept?target={LOST}",
        "withdraw": f"{run}/withdraw?target={LOST}",
        "live": served.run("half"),
        "diff": f"/diff?first={names[0]}&second={names[1]}",
        "message": "/nowhere",
        "statement": f"{run}/statement",
        "hostile accept": f"{hostile}/accept?target=clarify.clarifies",
    }


def training(served: Served, place: str) -> str:
    """The address of a training."""
    _, trainings = served.site.runs.look()
    return f"/trainings/{next(one.id for one in trainings if one.place == place)}"


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


def fill(page: Page, **fields: str) -> None:
    """Fill in a form by its labels."""
    for label, text in fields.items():
        page.get_by_label(label).fill(text)


def test_open_filter_read_accept_see_the_gate_turn_export(
    browser: Browser, own: tuple[Served, Path]
) -> None:
    """A person with a statement to decide about; but for one, its losses are accepted."""
    served, folder = own
    run, place = folder / "runs" / "scrubbed", served.run("scrubbed")
    losses = [f.id for f in read(run / "statement.json").findings if f.verdict in LOSSES]
    for target in losses:
        if target != LOST:
            assert (
                served.ask(f"{place}/accept", form=served.acceptance(target=target)).status == 303
            )
    values = read_scores(run / "scores.parquet").probes["clarification"].values
    lost = int((values["teacher", "recovers"] > values["student", "recovers"]).sum())

    page = opened(browser, served)
    page.get_by_role("link", name="scrubbed", exact=True).click()
    assert "The gate fails" in (page.locator("#gate").text_content() or "")
    assert "A draft: nobody has accepted 1 of" in (page.locator("#life").text_content() or "")

    page.get_by_role("link", name="All items").click()
    page.wait_for_selector("#show")
    page.get_by_label("Target").select_option("clarification.recovers")
    page.wait_for_url("**target=clarification.recovers**")
    page.get_by_label("Show").select_option("every")
    page.wait_for_url("**show=every**")
    every = page.locator(".pages span").first.inner_text()
    page.get_by_label("Show").select_option("lost")
    page.wait_for_url("**show=lost**")
    assert page.locator(".pages span").first.inner_text() == f"1–{min(lost, 50)} of {lost}" != every

    page.get_by_label("Target").select_option(LOST)
    page.wait_for_url(f"**target={LOST}**")
    page.locator(".asked a").first.click()
    sides = page.locator(".pair .side")
    assert "teacher" in sides.nth(0).inner_text() and "student" in sides.nth(1).inner_text()
    boxes = [sides.nth(side).bounding_box() for side in (0, 1)]
    assert boxes[0] and boxes[1] and boxes[0]["y"] == boxes[1]["y"]
    assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]
    assert page.locator(".pair mark").count() > 0
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**at=1&**")

    page.get_by_role("link", name=f"Accept the loss in {LOST}").click()
    because = "Rare. <script>alert(1)</script>"
    fill(page, Name="Ada Lovelace", Role="product owner", Until="2999-12-31", Because=because)
    page.get_by_role("button", name="Accept and sign").click()
    assert LOST in page.get_by_role("status").inner_text()
    assert "The gate passes" in (page.locator("#gate").text_content() or "")
    assert "Accepted: each of" in (page.locator("#life").text_content() or "")
    assert len(list(run.glob("acceptances/*"))) == len(losses)
    today = datetime.now(UTC).date()
    assert run_gate(run / "statement.json", folder / "gate.yaml", on=today).exit_code == 0

    for name in ("statement.json", "statement.html"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert download.value.path().read_bytes() == (run / name).read_bytes()
    assert "Rare." in (run / "statement.html").read_text()


def test_an_acceptance_is_taken_back_by_keyboard(
    browser: Browser, own: tuple[Served, Path]
) -> None:
    served, folder = own
    place = served.run("scrubbed")
    served.ask(f"{place}/accept", form=served.acceptance())
    page = opened(browser, served)
    goto(page, served, place)
    page.locator(f"article a[href$='/withdraw?target={LOST}']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/withdraw?**")
    page.get_by_label("Name").focus()
    page.keyboard.type("Grace Hopper")
    page.keyboard.press("Tab")
    page.keyboard.type("It grew.")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**withdrawn=**")
    assert "Taken back and signed" in page.get_by_role("status").inner_text()
    assert "Grace Hopper took it back: It grew." in page.inner_text("main")
    assert len(list(folder.glob("runs/scrubbed/acceptances/*"))) == 2


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
    browser: Browser, own: tuple[Served, Path], width: int, scheme: Literal["light", "dark"]
) -> None:
    served, _ = own
    served.ask(f"{served.run('scrubbed')}/accept", form=served.acceptance())
    page = opened(browser, served, width, color_scheme=scheme)
    for name, path in places(served).items():
        goto(page, served, path)
        # A statement as a file runs no script, axe's neither: its own tests look at it.
        assert name == "statement" or violations(page) == [], name
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


def test_a_running_training_is_followed_until_it_is_made(
    browser: Browser, own: tuple[Served, Path]
) -> None:
    served, folder = own
    work = folder / "runs" / "student.work"
    page = opened(browser, served)
    goto(page, served, training(served, "student"))
    drawn = page.locator("#curves").inner_html()
    numbers = page.get_by_role("region", name="Losses in numbers")
    numbers.focus()
    with (work / HISTORY).open("a") as file:
        file.write(Line(at=time.time(), stage="train", done=121, total=400, loss=0.1)
                   .model_dump_json() + "\n")  # fmt: skip
    until(page, "document.getElementById('told').textContent === 'Training: step 121 of 400.'")
    assert page.locator("#curves").inner_html() != drawn
    assert "0.1000" in numbers.inner_text()
    assert numbers.evaluate("region => region === document.activeElement")
    work.rename(folder / "runs" / "student")
    page.locator("#told", has_text="Made in 121 steps.").wait_for()
    assert page.locator("[data-live]").count() == 0


def test_without_scripts_a_running_training_is_loaded_anew(
    browser: Browser, served: Served
) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(served.address)
    page.goto(f"http://127.0.0.1:{served.port}{training(served, 'student')}")
    assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"
    assert page.locator("svg.course").count() == 2
