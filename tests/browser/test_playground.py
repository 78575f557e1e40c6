"""The playground's views, end to end: what they show is what the server says."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import requests
from browser.conftest import ALL_MINILM, OpenVisit, Visit
from playwright.sync_api import Page, expect
from support.kinds import GEMMA, M3, QWEN3
from support.program import Server

from satsuma.types import FloatArray

LONG = "word " * 400


def embed(server: Server, texts: list[str], **more: Any) -> FloatArray:
    """Ask the server itself: (B, H)."""
    body = {"text": texts, **more}
    answer = requests.post(server.run_url(ALL_MINILM), json=body, timeout=30).json()
    return np.array(answer["result"]["data"], np.float32)


def typed(page: Page) -> list[str]:
    """Read the texts that are typed."""
    return page.locator("#texts").input_value().split("\n")


def shown_pair(page: Page, row: int, column: int) -> float:
    """Read a pair's cosine where the page writes it out."""
    page.locator(f'#heat td[data-at="{row} {column}"]').hover()
    return float(page.locator("#heat-readout b").inner_text())


def test_the_first_look_has_results(visit: Visit, playground: Server) -> None:
    """An example is embedded at once; the cosines are those of the server's vectors."""
    page = visit.open_results()
    texts = typed(page)
    vectors = embed(playground, texts)
    expect(page.locator("#heat td[data-at]")).to_have_count(len(texts) ** 2)
    for row, column in ((0, 1), (4, 5), (2, 7)):
        wanted = float(vectors[row] @ vectors[column])
        assert shown_pair(page, row, column) == pytest.approx(wanted, abs=1e-4)
    expect(page.locator("#summary")).to_contain_text("8 vectors of 384 numbers")
    expect(page.locator("#summary")).to_contain_text("fp32 precision")


def test_the_map_shows_neighbours(visit: Visit) -> None:
    """A point per text; the one that is pointed at names the nearest."""
    page = visit.open_results()
    expect(page.locator("#map .point")).to_have_count(8)
    page.locator("#map .point").nth(4).focus()
    expect(page.locator("#map-readout")).to_contain_text("I want my money back (0.60)")
    expect(page.locator("#map .point").nth(5)).to_have_class(re.compile("is-near"))


def test_tokens_are_counted_as_people_type(visit: Visit) -> None:
    """With [CLS] and [SEP], as the service bills them; and where each lies is shown."""
    page = visit.open_results()
    page.locator("#texts").fill("hello world\nunbelievably")
    expect(page.locator("#texts-state")).to_have_text("2 texts · 11 tokens · none too long")
    page.locator("#reading summary").click()
    expect(page.locator("#tokens .token")).to_have_text(
        ["hello", "world", "un", "bel", "ie", "va", "bly"]
    )


def test_truncation_is_shown_as_people_type(visit: Visit) -> None:
    """What is left out is struck through, and said in words."""
    page = visit.open_results()
    page.locator("#texts").fill("short\n" + LONG)
    expect(page.locator("#texts-state")).to_contain_text("1 too long: the end is left out")
    row = page.locator("#tokens li").nth(1)
    expect(row).to_contain_text("256 of 256 tokens its end is left out")
    assert row.locator(".left-out").inner_text().startswith(" word word")


def test_a_json_list_is_taken(visit: Visit) -> None:
    """Texts with line breaks have no other way in; half a list is no text."""
    page = visit.open_results()
    page.locator("#texts").fill(json.dumps(["two\nlines", "one"]))
    expect(page.locator("#texts-state")).to_contain_text("2 texts")
    page.locator("#texts").fill('["two\\nlines",')
    expect(page.locator("#texts-state")).to_contain_text("is none yet")
    page.locator("#texts").fill("[draft] a line like any other")
    expect(page.locator("#texts-state")).to_contain_text("1 text ·")


def test_pooling_makes_other_vectors(visit: Visit, playground: Server) -> None:
    """Old results say so until the new ones come."""
    page = visit.open_results()
    vectors = embed(playground, typed(page), pooling="cls")
    page.get_by_role("radio", name="cls").check()
    expect(page.locator("#results")).to_have_class(re.compile("is-stale"))
    expect(page.locator("#stale")).to_contain_text("press Embed for new results")
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#summary")).to_contain_text("cls pooling")
    expect(page.locator("#results")).not_to_have_class(re.compile("is-stale"))
    assert shown_pair(page, 0, 1) == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-4)


@pytest.mark.parametrize(
    ("texts", "num_points"), [(["alone"], 1), (["a", "b"], 2), (["same"] * 3, 3)]
)
def test_few_texts_have_pictures_too(visit: Visit, texts: list[str], num_points: int) -> None:
    """One text, two, and three that are one."""
    page = visit.open_results()
    page.locator("#texts").fill("\n".join(texts))
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#map .point")).to_have_count(num_points)
    positions = page.locator("#map .dot").evaluate_all(
        "dots => dots.map(dot => [+dot.getAttribute('cx'), +dot.getAttribute('cy')])"
    )
    assert np.isfinite(positions).all()


def test_a_hundred_texts_fit(visit: Visit) -> None:
    """And one more is refused in words."""
    page = visit.open_results()
    lines = [f"text number {i}" for i in range(100)]
    page.locator("#texts").fill("\n".join(lines))
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#heat td[data-at]")).to_have_count(10_000)
    page.locator("#texts").fill("\n".join([*lines, "one more"]))
    expect(page.locator("#texts-state")).to_contain_text("101 texts are more than the 100")


def test_text_is_never_markup(visit: Visit) -> None:
    """Whatever people paste is shown as it is."""
    page = visit.open_results()
    nasty = "<img src=x onerror=alert(1)> & <b>bold</b>"
    page.locator("#texts").fill(f"{nasty}\nplain")
    page.locator("#reading summary").click()
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#heat tbody th").first).to_contain_text(nasty)
    expect(page.locator("#tokens li .text").first).to_have_text(nasty)


def test_search_ranks_by_meaning(visit: Visit, playground: Server) -> None:
    """The order and the scores are those of the cosines."""
    page = visit.open("/#/search")
    expect(page.locator("#hits li").first).to_contain_text("The last bus back")
    page.locator("#query").fill("how do I switch it off and on again")
    expect(page.locator("#hits li").first).to_contain_text("Hold the power button")
    texts = page.locator("#corpus").input_value().split("\n")
    asked, *vectors = embed(playground, ["how do I switch it off and on again", *texts])
    scores = sorted((round(float(one @ asked), 3) for one in vectors), reverse=True)
    shown = [float(one) for one in re.findall(r"(-?\d\.\d{3})", page.locator("#hits").inner_text())]
    np.testing.assert_allclose(shown, scores, atol=1.1e-3)


def test_search_takes_more_than_one_request_holds(visit: Visit) -> None:
    """A list of 230 goes in parts; a second question embeds itself alone."""
    page = visit.open("/#/search")
    page.locator("#hits li").first.wait_for()
    page.locator("#corpus").fill("\n".join(f"entry {i} of a long list" for i in range(230)))
    page.locator("#query").fill("entry 77")
    expect(page.locator("#search-state")).to_contain_text("230 compared, the best 20 shown")
    num_before = len(visit.requests)
    page.locator("#query").fill("entry 205")
    expect(page.locator("#search-state")).to_contain_text("Best: entry 205 of")
    assert len([one for one in visit.requests[num_before:] if "/ai/run/" in one]) == 1


def test_a_model_has_a_page(visit: Visit) -> None:
    """Dimensions, limits, licence and schema; `Use it` leads back."""
    page = visit.open("/#/models")
    page.get_by_role("link", name=ALL_MINILM).click()
    facts = page.locator(".facts")
    for one in ("384", "256 tokens", "Apache-2.0", "mean or cls; mean if not said"):
        expect(facts).to_contain_text(one)
    expect(page.locator(".schemas")).to_contain_text("A text to embed.")
    assert page.title().startswith(ALL_MINILM)
    page.get_by_role("link", name="Use it").click()
    expect(page.locator("#model")).to_have_value(ALL_MINILM)


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("@cf/qwen/qwen3-embedding-0.6b", ["32 in queries, 32 in documents, 32 in text"]),
        ("@cf/qwen/qwen3-embedding-0.6b", ["Pooling", "last_token"]),
        ("@cf/google/embeddinggemma-300m", ["100 in text", "Pooling", "mean"]),
        ("@cf/baai/bge-m3", ["1,000 in contexts, 100 in text", "Pooling", "cls"]),
        ("@cf/baai/bge-reranker-base", ["Longest pair", "512 tokens, query and", "1,000 in con"]),
    ],
)
def test_a_page_tells_what_is_true_of_its_model(
    visit: Visit, model: str, wanted: list[str]
) -> None:
    """By its schema and the catalog, and not what is true of most."""
    page = visit.open(f"/#/models/{model}")
    for one in wanted:
        expect(page.locator(".facts")).to_contain_text(one)
    expect(page.locator(".facts")).not_to_contain_text("mean or cls")
    expect(page.locator("#models")).not_to_contain_text("[CLS]")
    if "rerank" in model:
        expect(page.locator(".facts")).not_to_contain_text(re.compile("Pooling|Dimensions"))


@pytest.mark.parametrize("model", [M3, GEMMA, QWEN3])
def test_every_kind_can_be_compared(
    open_visit: OpenVisit, kinds_playground: Server, model: str
) -> None:
    """Also those that answer neither pooling nor tokens; none has poolings to choose from."""
    with open_visit(kinds_playground.url) as visit:
        page = visit.open_results()
        page.locator("#model").select_option(model)
        expect(page.locator("#poolings")).to_be_hidden()
        page.get_by_role("button", name="Embed").click()
        expect(page.locator("#stale")).to_be_empty()
        expect(page.locator("#summary")).to_contain_text("8 vectors of 36 numbers")
        expect(page.locator("#compare-error")).to_be_empty()
        page.locator("#texts").fill("\n".join(f"text {i}" for i in range(101)))
        most = "32" if model == QWEN3 else "100"
        expect(page.locator("#texts-state")).to_contain_text(f"more than the {most} that fit here")


def test_search_sends_no_more_at_once_than_the_model_takes(
    open_visit: OpenVisit, kinds_playground: Server
) -> None:
    """qwen3 takes 32."""
    with open_visit(kinds_playground.url) as visit:
        page = visit.open_results()
        page.locator("#model").select_option(QWEN3)
        expect(page.locator("#stale")).not_to_be_empty()
        page.get_by_role("link", name="Search").click()
        page.locator("#corpus").fill("\n".join(f"entry {i}" for i in range(70)))
        expect(page.locator("#search-state")).to_contain_text("70 compared")


def test_a_model_that_is_not_here_says_how_to_get_it(visit: Visit) -> None:
    """And cannot be chosen."""
    page = visit.open("/#/models/@cf/baai/bge-base-en-v1.5")
    expect(page.locator(".facts")).to_contain_text("satsuma models pull @cf/baai/bge-base-en-v1.5")
    page.goto(visit.url)
    option = page.locator('#model option[value="@cf/baai/bge-base-en-v1.5"]')
    expect(option).to_be_disabled()


def test_live_shows_what_the_server_does(visit: Visit, playground: Server) -> None:
    """Requests of others are seen within seconds."""
    page = visit.open("/#/live")
    answered = page.locator(".tile").filter(has_text="Answered").locator(".value")
    answered.wait_for()
    before = int(answered.inner_text())  # of the last minute: as many may leave it meanwhile
    for _ in range(before + 1):
        embed(playground, ["somebody else's text"])
    page.wait_for_function(
        """before => [...document.querySelectorAll(".tile")].some(tile =>
          /^Answered/.test(tile.textContent) && tile.querySelector(".value").innerText > before)""",
        arg=before,
    )
    expect(page.locator("#live-models")).to_contain_text(ALL_MINILM)


def test_live_asks_only_while_somebody_looks(visit: Visit) -> None:
    """Another view ends it."""
    page = visit.open("/#/live")
    with page.expect_request("**/satsuma/stats"):
        pass
    page.get_by_role("link", name="Models").click()
    page.locator(".model-list").wait_for()
    num_before = len(visit.requests)
    page.wait_for_timeout(2_500)  # two turns of the clock that must not tick
    assert visit.requests[num_before:] == []
