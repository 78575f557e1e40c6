"""For everybody: keyboard, screen readers, light and dark, small screens."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from browser.conftest import OpenVisit, Visit
from playwright.sync_api import Page, Route, expect

VIEWS = ["/", "/#/search", "/#/models", "/#/live", "/docs"]
MODEL_PAGE = "/#/models/@hf/sentence-transformers/all-minilm-l6-v2"
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
READY = {
    "/": "#heat td[data-at]",
    "/#/search": "#hits li",
    "/#/models": ".model-list li",
    MODEL_PAGE: ".schemas .schema",
    "/#/live": ".tile",
    "/docs": ".operation",
}
LIGHTNESS = """() => {
  const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
  return r + g + b;
}"""


def open_ready(visit: Visit, path: str) -> Page:
    """Open a view, and wait for what it has to show."""
    page = visit.open(path)
    page.locator(READY[path]).first.wait_for()
    return page


def problems(page: Page, axe: str) -> list[tuple[str, str, str]]:
    """Run axe over a page: the rule, the element and the advice of each thing that it finds."""
    page.evaluate(axe)
    found = page.evaluate(f"axe.run(document, {json.dumps({'runOnly': RULES})})")
    assert len(found["passes"]) > 20
    return [
        (one["id"], node["html"][:160], node["failureSummary"])
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", READY)
def test_axe_finds_nothing(open_visit: OpenVisit, axe: str, path: str, scheme: str) -> None:
    """WCAG 2.2 AA as far as a program can tell, with everything unfolded."""
    wishes: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
    with open_visit(bypass_csp=True, **wishes) as visit:
        page = open_ready(visit, path)
        page.evaluate(
            "document.querySelectorAll('main > section details, .group:first-child details')"
            ".forEach(one => (one.open = true))"
        )
        assert problems(page, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_old_results(open_visit: OpenVisit, axe: str, scheme: str) -> None:
    """Those of other texts than are typed now, also while new ones are awaited."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    wishes: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
    with open_visit(bypass_csp=True, **wishes) as visit:
        page = visit.open_results()
        page.locator("#texts").fill("one text\nand another")
        expect(page.locator("#stale")).to_have_text(re.compile("^From before your changes"))
        assert problems(page, axe) == []
        page.route("**/ai/run/**", hold)
        page.get_by_role("button", name="Embed").click()
        expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
        assert problems(page, axe) == []
        held[0].continue_()
        expect(page.locator("#stale")).to_be_empty()


def test_axe_finds_nothing_on_a_phone(open_visit: OpenVisit, axe: str) -> None:
    """Sizes of targets among it; the dialog too."""
    with open_visit(bypass_csp=True, **PHONE) as visit:
        page = open_ready(visit, "/")
        page.get_by_role("button", name="Token", exact=True).click()
        assert problems(page, axe) == []


@pytest.mark.parametrize("path", READY)
def test_nothing_is_wider_than_a_phone(open_visit: OpenVisit, path: str) -> None:
    """Only tables and code scroll sideways, each in its own box."""
    with open_visit(**PHONE) as visit:
        page = open_ready(visit, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_keyboard_is_enough(visit: Visit) -> None:
    """From the skip link to the results, without a mouse."""
    page = visit.open_results()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "texts"
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("first\nsecond\nthird")
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.locator("#heat td[data-at]")).to_have_count(9)


def test_arrow_keys_walk_the_heat_map(visit: Visit) -> None:
    """One stop of the Tab key; the pair under the focus is written out."""
    page = visit.open_results()
    page.locator('#heat td[tabindex="0"]').focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.at") == "0 2"
    expect(page.locator("#heat-readout")).to_contain_text("with Where is my parcel?")
    expect(page.locator('#heat td[tabindex="0"]')).to_have_count(1)
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.at") == "0 7"


def test_arrow_keys_change_the_language(visit: Visit) -> None:
    """As tabs do everywhere."""
    page = visit.open_results()
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Python")).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_contain_text("import requests")


def test_a_new_view_takes_the_focus(visit: Visit) -> None:
    """Its heading, so that screen readers say where they are."""
    page = visit.open_results()
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", level=1, name="Models")).to_be_focused()
    expect(page.get_by_role("link", name="Models")).to_have_attribute("aria-current", "page")
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Compare texts")).to_be_focused()


def test_focus_can_be_seen(visit: Visit) -> None:
    """Every stop of the Tab key has an outline, or fills a ring."""
    page = visit.open_results()
    unseen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        outlined = page.evaluate("""() => {
          const one = document.activeElement;
          const ring = one.querySelector(".reach");
          if (ring) return getComputedStyle(ring).stroke !== "none" ? "" : "a point";
          const shown = one.matches(".segments input") ? one.nextElementSibling : one;
          const style = getComputedStyle(shown);
          return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
            ? "" : one.outerHTML.slice(0, 120);
        }""")
        unseen += [outlined] if outlined else []
    assert unseen == []


@pytest.mark.parametrize(("scheme", "is_light"), [("light", True), ("dark", False)])
def test_the_system_decides_on_light_or_dark(
    open_visit: OpenVisit, scheme: str, is_light: bool
) -> None:
    """As long as nobody pressed the button."""
    with open_visit(color_scheme=scheme) as visit:
        assert (visit.open_results().evaluate(LIGHTNESS) > 384) is is_light


def test_the_button_decides_for_good(open_visit: OpenVisit) -> None:
    """System, light, dark; kept for the next visit and for the other page."""
    with open_visit(color_scheme="light") as visit:
        page = visit.open_results()
        page.locator("#theme").click()
        page.locator("#theme").click()
        expect(page.locator("#theme")).to_have_attribute("aria-label", "Theme: dark. Change it")
        assert page.evaluate(LIGHTNESS) < 384
        page.goto(visit.url + "/docs")
        assert page.evaluate(LIGHTNESS) < 384
