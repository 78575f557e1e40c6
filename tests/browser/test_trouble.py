"""When the server asks for a token, does not answer, or says no."""

from __future__ import annotations

from typing import Any

import pytest
from browser.conftest import OpenVisit, Visit
from playwright.sync_api import Page, Route, expect
from support.program import Server

DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


def give_token(page: Page, token: str) -> None:
    """Type a token into the dialog, and use it."""
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Use it").click()


def open_with_token(visit: Visit, token: str) -> Page:
    """Open the first page, give the token that it asks for, and wait for its results."""
    page = visit.open()
    give_token(page, token)
    page.locator("#heat td[data-at]").first.wait_for()
    return page


def test_a_token_is_asked_for_and_kept_in_the_tab(
    open_visit: OpenVisit, guarded_playground: tuple[Server, str]
) -> None:
    """A wrong one is refused in words; the right one is in no address and outlives no tab."""
    server, token = guarded_playground
    with open_visit(server.url, may_be_refused=True, **DESK) as visit:
        page = visit.open()
        expect(page.get_by_role("dialog")).to_contain_text("This server asks for a token.")
        give_token(page, "short")
        expect(page.get_by_role("alert").last).to_contain_text("That is no token")
        give_token(page, "w" * 40)
        expect(page.get_by_role("alert").last).to_contain_text("The token is not accepted")
        give_token(page, token)
        page.locator("#heat td[data-at]").first.wait_for()
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert all(token not in one for one in visit.requests)
        page.reload()
        page.locator("#heat td[data-at]").first.wait_for()
        assert any("/accounts/shop/ai/run/" in one for one in visit.requests)


def test_what_is_too_much_is_said_in_words(
    open_visit: OpenVisit, guarded_playground: tuple[Server, str]
) -> None:
    """The server's 413, with what to do."""
    server, token = guarded_playground
    with open_visit(server.url, may_be_refused=True, **DESK) as visit:
        page = open_with_token(visit, token)
        page.locator("#texts").fill("word " * 10_000)
        page.get_by_role("button", name="Embed").click()
        notice = page.locator("#compare-error [role=alert]")
        expect(notice).to_contain_text("That is too much at once")
        expect(notice).to_contain_text("Send fewer or shorter texts.")


def test_a_server_that_is_gone_is_waited_for(open_visit: OpenVisit) -> None:
    """A banner says so, what is typed stays, and all goes on by itself."""
    with open_visit(may_be_refused=True, **DESK) as visit:
        page = visit.open_results()
        page.context.set_offline(True)
        page.locator("#texts").fill("typed while nobody listens")
        page.get_by_role("button", name="Embed").click()
        expect(page.locator("#banner")).to_contain_text("The server does not answer")
        expect(page.locator("#compare-error")).to_contain_text("The server cannot be reached")
        page.context.set_offline(False)
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#texts")).to_have_value("typed while nobody listens")
        expect(page.locator("#compare-error")).to_be_empty()
        page.get_by_role("button", name="Embed").click()
        expect(page.locator("#summary")).to_contain_text("1 vector")


def test_live_survives_an_interruption(open_visit: OpenVisit) -> None:
    """It asks on, and the notice goes."""
    with open_visit(may_be_refused=True, **DESK) as visit:
        page = visit.open("/#/live")
        page.locator(".tile").first.wait_for()
        page.context.set_offline(True)
        expect(page.locator("#live-error")).to_contain_text("cannot be reached")
        page.context.set_offline(False)
        expect(page.locator("#live-error")).to_be_empty()


@pytest.mark.parametrize("path", ["/", "/#/search", "/#/models", "/#/live"])
def test_a_slow_server_leaves_a_page_to_look_at(open_visit: OpenVisit, path: str) -> None:
    """Headings and forms are there before any answer."""
    with open_visit(**DESK) as visit:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        visit.page.route("**/satsuma/stats", hold)
        page = visit.open(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        for route in held:
            route.continue_()
        expect(page.locator("#version")).to_contain_text("satsuma 0.")


def test_nobody_is_asked_for_a_token_each_second(
    open_visit: OpenVisit, guarded_playground: tuple[Server, str]
) -> None:
    """Who cancels is left alone, and who gives one later sees the figures."""
    server, token = guarded_playground
    with open_visit(server.url, may_be_refused=True, **DESK) as visit:
        page = visit.open("/#/live")
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_timeout(2_500)  # two turns of the clock that must not tick
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("#live-error")).to_contain_text("asks for a token")
        page.get_by_role("button", name="Token", exact=True).click()
        give_token(page, token)
        page.locator(".tile").first.wait_for()
        expect(page.locator("#live-error")).to_be_empty()


def test_a_token_can_be_forgotten(
    open_visit: OpenVisit, guarded_playground: tuple[Server, str]
) -> None:
    """An empty field does it; then one is asked for again."""
    server, token = guarded_playground
    with open_visit(server.url, may_be_refused=True, **DESK) as visit:
        page = open_with_token(visit, token)
        page.get_by_role("button", name="Token", exact=True).click()
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("dialog")).to_contain_text("This server asks for a token.")
        assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__", "nothing", "%"])
def test_an_address_of_no_view_shows_the_first(visit: Visit, name: str) -> None:
    """Also one that every JavaScript object has."""
    page = visit.open(f"/#/{name}")
    page.locator("#heat td[data-at]").first.wait_for()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare texts")


@pytest.mark.parametrize("name", ["%", "@cf/%E0%A4%A", "constructor"])
def test_an_address_of_no_model_says_so(visit: Visit, name: str) -> None:
    """A stray percent sign is no reason not to start."""
    page = visit.open(f"/#/models/{name}")
    expect(page.locator("#models-says")).to_contain_text(f"There is no model {name} in")
    expect(page.locator(".model-list li").first).to_be_visible()


def test_an_address_of_no_operation_shows_them_all(visit: Visit) -> None:
    """The reference starts, and goes on listening to its address."""
    page = visit.open("/docs#%")
    page.locator(".operation").first.wait_for()
    page.evaluate("location.hash = '#schema-Models'")
    expect(page.locator("#schema-Models")).to_have_attribute("open", "")
