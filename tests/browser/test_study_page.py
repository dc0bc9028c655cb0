"""Study in a real browser: what changed, hidden text, search, files, two judges, the paper, sizes, axe."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched, dark
from tests.browser.test_explore_page import violations

Serve = Callable[..., str]
ROWS = ".mf-rows tbody tr"


@pytest.fixture
def study(watched: Watched, serve: Serve) -> Callable[..., Page]:
    """Open the Study tab: `study(size=(390, 844))`; all tests share one server."""

    def start(*, size: tuple[int, int] = (1366, 768)) -> Page:
        watched.page.set_viewport_size({"width": size[0], "height": size[1]})
        page = watched.open(serve(strict=True))
        page.get_by_role("tab", name="Study").click()
        expect(page.locator(ROWS)).to_have_count(25)
        return page

    return start


def choose(page: Page, picker: str, words: str) -> None:
    """Choose a recipe in a picker and wait until the table shows it."""
    page.locator(f"#mf-items-{picker} input").click()
    page.get_by_role("option", name=words).first.click()
    expect(page.locator(f"#mf-items th[data-col={picker}] b")).to_have_text(words)


def test_what_broke_is_one_click_away_and_its_text_another(study: Callable[..., Page]) -> None:
    page = study()
    expect(page.locator(".mf-items-note")).to_contain_text("slerp t=0.50 is not measured yet")
    choose(page, "ours", "general 0 %")
    chip = page.locator("[data-change=broke]")
    count = int(chip.locator("b").inner_text())
    assert 0 < count <= 96
    chip.click()
    expect(page.locator(".mf-count")).to_have_text(re.compile(rf"of {count}$"))
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#mf-items .mf-changed").first).to_have_text("▼ broke")
    # nothing that was asked or said is in the page before somebody wants to see it
    row = page.locator(ROWS).first
    expect(row.locator(".mf-item-words")).to_have_count(0)
    expect(row.locator(".mf-verdict")).to_have_text(["● answered", "⊘ refused"])
    row.get_by_role("button", name="show request and answers").click()
    expect(row.locator(".mf-item-words")).to_have_count(3)
    expect(page.locator(ROWS).nth(1).locator(".mf-item-words")).to_have_count(0)
    page.get_by_role("button", name="show them").click()
    expect(page.locator(ROWS).nth(1).locator(".mf-item-words")).to_have_count(3)
    page.locator("#mf-items-swap").click()
    expect(page.locator("#mf-items th[data-col=theirs] b")).to_have_text("general 0 %")
    expect(page.locator("[data-change=fixed] b")).to_have_text(str(count))


def test_filters_search_order_and_pages(study: Callable[..., Page]) -> None:
    page = study()
    page.locator("select[data-filter=language]").select_option("ar")
    page.locator("select[data-filter=kind]").select_option("choice")
    expect(page.locator(".mf-count")).to_have_text("1–12 of 12")
    option = page.locator(".mf-options li").first
    expect(option).to_contain_text(re.compile(r"−[01]\.\d\d"))
    expect(page.locator(".mf-options .mf-chosen")).to_have_count(24)
    page.locator("th[data-col=prompt] button").click()
    expect(page.locator("th[data-col=prompt]")).to_have_attribute("aria-sort", "ascending")
    words = page.locator(".mf-cell-prompt .mf-item-words")
    up = words.all_inner_texts()
    assert up == sorted(up)
    edges = words.first.evaluate(
        """node => { const range = document.createRange(); range.selectNodeContents(node);
        return node.getBoundingClientRect().right - Math.max(...[...range.getClientRects()].map((r) => r.right)); }"""
    )
    assert edges < 24, "Arabic starts at the right edge"
    page.get_by_role("button", name="clear").click()
    expect(page.locator(".mf-count")).to_have_text("1–25 of 312")
    page.get_by_role("button", name="Next page").click()
    expect(page.locator(".mf-count")).to_have_text("26–50 of 312")
    page.locator("#mf-items input[type=search]").fill("la la la")
    expect(page.locator("#mf-items .mf-verdict.mf-invalid").first).to_be_visible()
    expect(page.locator(".mf-count")).to_have_text(re.compile(r"^1–"))
    page.locator("#mf-items input[type=search]").fill("no such words anywhere")
    expect(page.locator(".mf-none-found")).to_be_visible()


def test_the_export_is_the_filtered_rows_with_a_notice(study: Callable[..., Page], tmp_path: Path) -> None:
    page = study()
    page.locator("select[data-filter=language]").select_option("fr")
    expect(page.locator(".mf-count")).to_have_text("1–25 of 52")
    with page.expect_download() as found:
        page.get_by_role("button", name="CSV").click()
    found.value.save_as(tmp_path / "rows.csv")
    assert found.value.suggested_filename == "items_quick_fr.csv"
    lines = (tmp_path / "rows.csv").read_text(encoding="utf-8").split("\n")
    assert lines[0].startswith("# Content notice")
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("# ")))))
    assert len(rows) == 52 and {row["language"] for row in rows} == {"fr"}


def test_a_recipe_is_loaded_in_explore_and_explore_is_followed_back(study: Callable[..., Page]) -> None:
    page = study()
    choose(page, "ours", "nuslerp weight=0.70/0.30")
    page.get_by_role("button", name="Load in Explore").first.click()
    expect(page.locator("#mf-loaded .mf-chip")).to_contain_text("nuslerp weight=0.70/0.30")
    expect(page.get_by_role("tab", name="Explore")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Study").click()
    page.locator("#mf-items-ours input").click()
    page.get_by_role("option", name="Your merge").click()
    expect(page.locator("#mf-items th[data-col=ours] b")).to_have_text("nuslerp weight=0.70/0.30")
    expect(page.locator(".mf-items-note")).to_be_empty()


def test_two_judges_and_what_they_differ_on(study: Callable[..., Page]) -> None:
    page = study()
    expect(page.locator(".mf-agreement summary")).to_contain_text("Cohen's kappa")
    page.locator(".mf-agreement summary").click()
    expect(page.locator(".mf-confusion tbody th")).to_have_text(["refused", "answered"])
    differ = page.locator(".mf-differ")
    count = re.findall(r"\d+", differ.inner_text())[0]
    differ.click()
    expect(page.locator(".mf-count")).to_have_text(re.compile(rf"of {count}$"))
    expect(page.locator(".mf-other-judge").first).to_have_text("strict/1: refused")
    page.locator("select[data-filter=judge]").select_option("strict/1")
    expect(page.locator(".mf-other-judge").first).to_have_text("rules/1: answered")


def test_the_papers_figures_beside_ours(study: Callable[..., Page]) -> None:
    page = study()
    page.get_by_role("tab", name="Paper").click()
    expect(page.locator(".mf-paper-plot .main-svg").first).to_be_visible()
    expect(page.locator(".mf-paper-answer")).to_contain_text("better than every mix on one axis")
    expect(page.locator("#mf-paper-pays")).to_contain_text("English pays")
    expect(page.locator(".mf-claims li")).to_have_count(4)
    page.get_by_role("button", name="not measured 1").click()
    expect(page.locator(".mf-claims li")).to_have_count(1)
    names = page.locator(".mf-table-scroll tbody th button")
    expect(names).to_have_count(7)
    page.get_by_role("button", name="Show what the screening passed over").click()
    expect(names).to_have_count(8)
    page.get_by_role("button", name="harm ↓").click()
    assert names.first.inner_text() == "100 % safety rows", "the lowest harm first"
    page.get_by_role("button", name="harm ↓").click()
    assert names.first.inner_text() == "0 % safety rows"
    page.locator(".mf-table-scroll").get_by_role("button", name="100 % safety rows").click()
    expect(page.locator("#mf-loaded .mf-chip")).to_contain_text("zoo:safety")
    expect(page.get_by_role("tab", name="Explore")).to_have_attribute("aria-selected", "true")


def test_where_nothing_is_measured_it_says_what_to_do(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(empty=True, compared=False))
    page.get_by_role("tab", name="Study").click()
    expect(page.locator(".mf-items-empty")).to_contain_text("Press Probe in Explore")
    page.get_by_role("tab", name="Paper").click()
    expect(page.locator(".mf-paper-empty")).to_contain_text("python -m eval paper")


@pytest.mark.parametrize("size", [(1366, 768), (390, 844)], ids=["desktop", "phone"])
def test_it_fits_and_axe_finds_no_a_or_aa_violation(study: Callable[..., Page], size: tuple[int, int]) -> None:
    page = study(size=size)
    choose(page, "ours", "general 0 %")
    page.get_by_role("button", name="show them").click()
    page.locator("th[data-col=change] button").click()
    expect(page.locator("th[data-col=change]")).to_have_attribute("aria-sort", "ascending")
    page.locator(".mf-agreement summary").click()
    if size[0] > 600:
        assert page.evaluate("document.documentElement.scrollHeight") <= size[1], "the table scrolls, not the page"
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    found = violations(page)
    page.get_by_role("tab", name="Paper").click()
    expect(page.locator(".mf-paper-plot .main-svg").first).to_be_visible()
    expect(page.locator("#mf-paper-pays .mf-strip")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    found += violations(page)
    dark(page)
    found += violations(page)
    page.get_by_role("tab", name="Items").click()
    expect(page.locator(ROWS).first).to_be_visible()
    found += violations(page)
    assert not found, "\n".join(found)
