"""Explore in a real browser: drag, keys, probe, trace, click, axes, states, both themes, small screens, axe."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AXE, Watched

Serve = Callable[..., str]
CHIP, RANGE = "#mf-loaded .mf-chip", "#mf-dial-0 input[type=range]"


def star(page: Page) -> tuple[float, float]:
    """Where the visitor's merge is drawn, in pixels."""
    box = page.locator("#mf-chart .scatterlayer .trace").last.locator("path.point").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def points(page: Page) -> int:
    return int(page.locator(".mf-list summary span").inner_text())


def drag_to(page: Page, share: float) -> None:
    box = page.locator(RANGE).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, y, steps=12)
    page.mouse.up()


def drawer(page: Page, tab: str) -> None:
    """Open the Advanced drawer at one of its tabs."""
    if not page.locator("#mf-drawer").is_visible():
        page.locator("#mf-advanced > button").click()
    page.locator("#mf-drawer button[role=tab]", has_text=tab).click()


def test_dragging_t_merges_and_moves_the_star(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    expect(page.locator(CHIP)).to_contain_text("slerp t=0.50")
    before = star(page)
    drag_to(page, 0.9)
    t = float(page.locator("#mf-dial-0 input[type=number]").input_value())
    assert t > 0.8
    expect(page.locator(CHIP)).to_contain_text(f"slerp t={t:.2f}")
    expect(page.locator("#mf-loaded")).to_contain_text(re.compile(r"merged in \d+ ms"))
    assert star(page)[0] < before[0] - 40  # towards the safety expert: less harm
    expect(page.locator("#mf-answer")).to_contain_text("Preview")


def test_arrow_keys_and_the_number_box_move_it_too(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.locator(RANGE).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(CHIP)).not_to_contain_text("t=0.50")
    box = page.locator("#mf-dial-0 input[type=number]")
    box.fill("0.3")
    box.blur()
    expect(page.locator(CHIP)).to_contain_text("slerp t=0.30")


def test_probe_lands_a_point_and_says_who_pays(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(pause=0.05))
    count = points(page)
    expect(page.locator("#mf-strip .mf-cell")).to_have_count(0)
    page.click("#mf-probe")
    expect(page.locator("#mf-progress [role=progressbar]")).to_be_visible()
    expect(page.locator("#mf-figures .mf-measured")).to_be_visible()
    expect(page.locator(".mf-list summary span")).to_have_text(str(count + 1))
    expect(page.locator("#mf-strip .mf-cell")).to_have_count(12)
    expect(page.locator("#mf-answer")).to_contain_text("against the 15 % mix")
    expect(page.locator("#mf-probe")).to_be_enabled()


def test_stop_ends_a_probe_and_keeps_nothing(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(pause=1.0))
    count = points(page)
    page.click("#mf-probe")
    expect(page.locator("#mf-stop")).to_be_enabled()
    page.click("#mf-stop")
    expect(page.locator("#mf-progress")).to_contain_text("Stopped")
    assert points(page) == count


def test_a_drag_does_not_wait_for_a_probe_nor_is_it_undone_by_one(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(pause=1.5))
    page.click("#mf-probe")
    expect(page.locator("#mf-stop")).to_be_enabled()
    drag_to(page, 0.2)
    t = float(page.locator("#mf-dial-0 input[type=number]").input_value())
    expect(page.locator(CHIP)).to_contain_text(f"slerp t={t:.2f}")
    expect(page.locator("#mf-stop")).to_be_enabled()
    expect(page.locator("#mf-probe")).to_be_enabled()
    expect(page.locator(CHIP)).to_contain_text(f"slerp t={t:.2f}")


def test_trace_draws_a_path(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.click("#mf-trace")
    expect(page.locator(".mf-legend")).to_contain_text("trace")
    expect(page.locator("#mf-probe")).to_be_enabled()
    expect(page.locator("#mf-progress")).to_be_hidden()


def test_clicking_a_point_loads_its_recipe(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    traces = "document.querySelector('#mf-chart .mf-plot').data"
    wanted = page.evaluate(f"{traces}.find(t => t.marker?.size?.[0] === 13).text[2]")
    assert "mix" in wanted
    box = page.locator("#mf-chart .scatterlayer .trace path.point[d*='A6.5']").nth(2).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(150)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(CHIP)).to_contain_text("zoo:mix-15")
    expect(page.locator("#mf-strip")).to_contain_text("the mix itself")


def test_the_keyboard_reaches_every_point(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.locator(".mf-plot").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.locator(CHIP)).to_contain_text("zoo:safety")
    page.locator(".mf-list summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(CHIP)).not_to_contain_text("zoo:safety")


@pytest.mark.parametrize(
    "method, pickers, dials",
    [
        pytest.param("SLERP", ["t = 0", "t = 1"], 1, id="slerp has two pickers and no base"),
        pytest.param("Linear", ["model 1", "model 2", "add"], 2, id="linear has models"),
        pytest.param("TIES", ["Base", "model 1", "model 2", "add"], 5, id="ties has a base and five sliders"),
    ],
)
def test_the_method_decides_what_is_shown(
    watched: Watched, serve: Serve, method: str, pickers: list[str], dials: int
) -> None:
    page = watched.open(serve())
    page.locator("#mf-method label", has_text=re.compile(f"^ ?{method}$")).click()
    expect(page.locator(".mf-dial:visible")).to_have_count(dials)
    expect(page.locator(".mf-picker:visible [data-testid=block-info]")).to_have_text(pickers)


def test_a_weight_says_its_share(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.locator("#mf-method label", has_text="Linear").click()
    expect(page.locator("#mf-dial-0 label").first).to_contain_text("50 %")
    page.locator("#mf-dial-0 input[type=number]").fill("0.25")
    page.locator("#mf-dial-0 input[type=number]").blur()
    expect(page.locator("#mf-dial-0 label").first).to_contain_text("33 %")
    expect(page.locator("#mf-dial-1 label").first).to_contain_text("67 %")


def test_alternatives_are_one_click_away(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.get_by_role("button", name="Task SLERP").click()
    expect(page.locator(CHIP)).to_contain_text("nuslerp weight=0.50/0.50")


def test_yaml_works_both_ways_and_names_its_errors(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    drawer(page, "YAML")
    text = page.locator("#mf-yaml textarea")
    expect(text).to_have_value(re.compile("t: 0.5"))
    text.fill(text.input_value().replace("0.5", "0.25"))
    page.click("#mf-use")
    expect(page.locator("#mf-dial-0 input[type=number]")).to_have_value("0.25")
    typed = text.input_value().replace("  t: 0.25", "  temperature: 0.25")
    text.fill(typed)
    page.click("#mf-use")
    expect(page.locator("#mf-yaml-note .mf-problem")).to_contain_text("temperature")
    expect(page.locator("#mf-yaml-note .mf-line")).to_have_text("line 7 temperature: 0.25")
    assert text.evaluate("box => getComputedStyle(box).backgroundSize") == "100% 17px", "line 7 is marked in the editor"
    drag_to(page, 0.8)
    expect(page.locator(CHIP)).not_to_contain_text("t=0.25")
    expect(text).to_have_value(typed)
    page.click("#mf-back")
    expect(text).not_to_have_value(typed)


def test_an_anchor_of_the_layer_curve_merges_like_a_dial(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    drawer(page, "Layers")
    anchors = page.locator(".mf-band-plot input[type=range]")
    expect(anchors).to_have_count(15)
    expect(page.locator(".mf-band-plot circle")).to_have_count(3 * 18)
    last = anchors.nth(4)
    box = last.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 4, steps=6)
    page.mouse.up()
    expect(page.locator(CHIP)).to_contain_text("t=curve")
    assert float(last.input_value()) > 0.9
    merged = page.locator(CHIP).inner_text()
    anchors.nth(5).focus()
    page.keyboard.press("ArrowUp")
    expect(anchors.nth(5)).to_have_value("0.51")
    expect(page.locator(CHIP)).not_to_have_text(merged)  # the move has arrived before the next choice is made
    page.click("#mf-classic")
    expect(anchors.nth(5)).to_have_value("1")
    expect(page.locator(".mf-numbers tbody tr").last).to_have_text("17100.5", use_inner_text=False)
    page.click("#mf-flat")
    expect(page.locator(CHIP)).to_contain_text("t=0.50")


def test_the_last_of_quick_moves_of_an_anchor_is_merged(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(merging=0.7))
    drawer(page, "Layers")
    anchor = page.locator(".mf-band-plot input[type=range]").nth(5)
    anchor.focus()
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    expect(anchor).to_have_value("0.54")
    drawer(page, "YAML")
    expect(page.locator("#mf-yaml textarea")).to_have_value(re.compile(r"0\.54"))
    expect(page.locator("#mf-loaded")).to_contain_text(re.compile(r"merged in \d+ ms"))
    drawer(page, "Layers")
    expect(anchor).to_have_value("0.54")


def test_a_late_answer_does_not_undo_a_newer_choice(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(merging=0.7))
    drawer(page, "Layers")
    anchor = page.locator(".mf-band-plot input[type=range]").nth(5)
    anchor.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.click("#mf-classic")
    expect(anchor).to_have_value("1")
    expect(page.locator("#mf-loaded")).to_contain_text(re.compile(r"t=curve.*merged in \d+ ms", re.DOTALL))
    page.wait_for_timeout(2000)  # for an answer that should not come
    expect(anchor).to_have_value("1")
    drawer(page, "YAML")
    expect(page.locator("#mf-yaml textarea")).not_to_have_value(re.compile("0.5[12]"))


def test_geometry_is_a_heatmap_with_its_numbers(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    drawer(page, "Geometry")
    page.click("#mf-geometry-run")
    expect(page.locator(".mf-geometry")).to_contain_text("nearly orthogonal")
    assert page.locator(".mf-heat-row i").count() == 4 * 21
    page.locator(".mf-geometry summary").click()
    expect(page.locator(".mf-geometry tbody tr")).to_have_count(21)
    expect(page.locator("#mf-geometry-run")).to_be_enabled()


def test_a_method_from_the_list(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.locator("#mf-more input").click()
    page.keyboard.type("passth")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(CHIP)).to_contain_text("passthrough")
    expect(page.locator(".mf-picker:visible [data-testid=block-info]")).to_have_text(["model"])
    page.locator("#mf-method label", has_text=re.compile("^ ?TIES$")).click()
    expect(page.locator(CHIP)).to_contain_text("ties")
    expect(page.locator("#mf-more input")).to_have_value("")


def test_of_two_quick_choices_the_last_is_merged(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(merging=1.5))
    page.locator("#mf-method label", has_text="Linear").click()
    expect(page.locator(CHIP)).to_contain_text("linear")
    page.locator("#mf-method label", has_text=re.compile("^ ?TIES$")).click()
    expect(page.locator(CHIP)).to_contain_text("ties")
    expect(page.locator("#mf-loaded")).to_contain_text(re.compile(r"ties .*merged in \d+ ms", re.DOTALL))
    page.wait_for_timeout(2000)
    expect(page.locator(CHIP)).to_contain_text("ties")


def test_three_models_fit_without_scrolling(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.locator("#mf-method label", has_text="DARE-TIES").click()
    expect(page.locator("#mf-model-2")).to_be_visible()
    page.locator("#mf-model-2 input").click()
    page.get_by_role("option", name="zoo:mix-15").click()
    expect(page.locator(CHIP)).to_contain_text("weight=0.50/0.50/0.50")
    expect(page.locator("#mf-model-3")).to_be_visible()
    expect(page.locator("#mf-controls .mf-dial:visible")).to_have_count(5)
    assert page.evaluate("document.documentElement.scrollHeight") <= 768


def test_other_axes(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    page.get_by_label("Horizontal axis").select_option("over_refusal")
    expect(page.locator("#mf-chart .xtitle")).to_contain_text("over-refusal")
    page.get_by_role("button", name="dominated").click()
    expect(page.get_by_role("button", name="dominated")).to_have_attribute("aria-pressed", "false")


def test_nothing_scrolls_at_1366_by_768(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    assert page.evaluate("document.documentElement.scrollHeight") <= 768


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_390_px_is_one_column_without_overflow(watched: Watched, serve: Serve, theme: str) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 844})
    page = watched.open(serve(), theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [page.locator(name).bounding_box() for name in ("#mf-answer", "#mf-chart", "#mf-method", "#mf-strip")]
    assert [box["y"] for box in tops if box] == sorted(box["y"] for box in tops if box)
    page.locator("#mf-more input").click()
    found = page.get_by_role("option", name="Passthrough").bounding_box()
    assert found is not None and found["x"] >= 0 and found["x"] + found["width"] <= 390


def test_while_the_models_are_prepared_a_bar_says_how_far(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(phase="preparing"))
    expect(page.locator("#mf-status [role=progressbar]")).to_be_visible()
    expect(page.locator("#mf-loaded")).to_contain_text("as soon as the models are ready")


def test_an_empty_chart_says_what_to_do(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(empty=True))
    expect(page.locator(".mf-hint")).to_contain_text("press Probe")


def test_a_failed_start_says_what_to_do(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(phase="failed"))
    expect(page.locator("#mf-loaded .mf-problem")).to_contain_text("check the connection")


def test_a_refused_probe_is_one_sentence(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve(fails=frozenset({"zoo:safety"})))
    expect(page.locator("#mf-loaded .mf-problem")).to_contain_text("'zoo:safety' cannot be found")
    page.click("#mf-probe")
    expect(page.locator("#mf-progress .mf-problem")).to_contain_text("'zoo:safety' cannot be found")


def test_two_visitors_do_not_meet(watched: Watched, serve: Serve) -> None:
    page = watched.open(serve())
    other = page.context.browser.new_context().new_page()  # type: ignore[union-attr]
    Watched(other).open(serve())
    drag_to(page, 0.1)
    expect(page.locator(CHIP)).not_to_contain_text("t=0.50")
    expect(other.locator(CHIP)).to_contain_text("slerp t=0.50")
    other.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1366, 768), (390, 844)], ids=["desktop", "phone"])
def test_axe_finds_no_a_or_aa_violation(watched: Watched, serve: Serve, theme: str, size: tuple[int, int]) -> None:
    watched.page.set_viewport_size({"width": size[0], "height": size[1]})
    page = watched.open(serve(), theme)
    page.locator(".mf-list summary").click()
    page.locator(".mf-list button").nth(6).click()
    expect(page.locator("#mf-figures .mf-measured")).to_be_visible()
    for tab in ("Geometry", "Method", "Layers", "YAML", "Check"):
        drawer(page, tab)
        if tab == "Geometry":
            page.click("#mf-geometry-run")
            expect(page.locator(".mf-geometry")).to_be_visible()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        found = violations(page, "document" if tab == "Geometry" else "'#mf-advanced'")
        assert not found, "\n".join([tab, *found])


def settled(page: Page) -> None:
    """Wait until nothing fades in or out any more: half a colour has half the contrast."""
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")


def violations(page: Page, within: str = "document") -> list[str]:
    """Rule and selector of every WCAG A / AA violation; `within` is what axe is told to look at."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    rules = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}"
    result = page.evaluate(f"axe.run({within}, {rules})")
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))} {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
