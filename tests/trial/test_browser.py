"""A whole trial in a real browser: by mouse, by keyboard, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page

from tests.serve.test_browser import opened, violations
from tests.support import statements
from tests.support.browser import chromium
from tests.support.pages import Served
from tests.support.trials import holding, lines_of, write_trial

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def join(page: Page, served: Served, name: str) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/trial")
    page.get_by_label("A name for you").fill(name)
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url("**/trial/*")


def test_a_couple_works_all_tasks(browser: Browser, tmp_path: Path) -> None:
    file = write_trial(tmp_path)
    with holding(file) as served:
        for name in ("ann", "bob"):
            page = opened(browser, served)
            page.get_by_role("link", name="take part").click()
            join(page, served, name)
            assert page.locator("h1").inner_text() == "Task 1 of 2"
            assert page.get_by_role("button", name="Give up").count() == 0
            page.get_by_label("Your message").fill("Where is it?")
            page.get_by_role("button", name="Send").click()
            page.wait_for_selector(".turn:not(.mine)")
            page.get_by_label("Your message").fill("Sure?")
            page.keyboard.press("Control+Enter")
            page.wait_for_selector(".turn.mine >> text=Sure?")
            assert page.get_by_text("It is in the drawer.").count() == 2
            page.get_by_label("Partly").check()
            page.get_by_label("40", exact=True).check()
            page.get_by_role("button", name="Log it").click()
            page.wait_for_selector("h1 >> text=Task 2 of 2")
            page.get_by_label("Your message").fill("And this?")
            page.get_by_role("button", name="Send").click()
            page.get_by_role("button", name="Give up").click()
            page.wait_for_selector("h1 >> text=All done")
    ended = lines_of(file, "ended")
    told = [(line["person"], line["outcome"], line["own"], line["turns"]) for line in ended]
    assert told == [
        (1, "partly", 40, 2), (1, "abandoned", None, 1),
        (2, "partly", 40, 2), (2, "abandoned", None, 1),
    ]  # fmt: skip
    assert {line["arm"] for line in ended[::2]} == {"teacher", "student"}


def test_a_trial_can_be_worked_without_scripts(browser: Browser, tmp_path: Path) -> None:
    file = write_trial(tmp_path)
    with holding(file) as served:
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(served.address)
        join(page, served, "ann")
        page.fill("[name=text]", "Where is it?")
        page.click("form.talk button")
        page.check("[name=outcome][value=yes]")
        page.check("[name=own][value='0']")
        page.click("form.went button")
        page.wait_for_selector("h1 >> text=Task 2 of 2")
    assert [line["outcome"] for line in lines_of(file, "ended")] == ["yes"]


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing_serious_and_what_an_arm_says_does_nothing(
    browser: Browser, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    answer = statements.EVERYTHING.encode("utf-8", "replace").decode() + "x" * 5000
    with holding(write_trial(tmp_path, answer)) as served:
        page = opened(browser, served, width, color_scheme=scheme)
        did: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            did.append("dialog")
            dialog.dismiss()

        page.on("dialog", dismiss)
        page.on("console", lambda message: did.append(message.text))
        page.on("pageerror", lambda error: did.append(str(error)))
        page.goto(f"http://127.0.0.1:{served.port}/trial")
        assert violations(page) == []
        join(page, served, "<img src=x onerror=alert(1)>")
        page.get_by_label("Your message").fill("<script>alert(1)</script>")
        page.get_by_role("button", name="Send").click()
        page.wait_for_selector(".turn:not(.mine)")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("main img, main script, main style, main iframe").count() == 0
    assert did == []
