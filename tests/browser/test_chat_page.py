"""Chat in a real browser: send, stream, verdicts, stop, retry after a slider move, scripts, states, sizes, axe."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Watched, dark, free_port
from tests.browser.test_explore_page import settled, violations
from tests.ui.fakes_chat import ChattyService

Talk = Callable[..., Page]
TURN = ".mf-turn"


@pytest.fixture(scope="module")
def serve_chat() -> Iterator[Callable[..., str]]:
    """Serve the page on a service that talks; one server for equal settings."""
    from ui.page import build, launch

    running: dict[str, tuple[str, object]] = {}

    def start(**settings: object) -> str:
        key = repr(sorted(settings.items()))
        if key not in running:
            page = build(ChattyService(**settings))  # type: ignore[arg-type]
            _, url, _ = launch(
                page, server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True
            )
            running[key] = (url, page)
        return running[key][0]

    yield start
    for _, page in running.values():
        page.close()  # type: ignore[attr-defined]


@pytest.fixture
def talk(watched: Watched, serve_chat: Callable[..., str]) -> Talk:
    """Open the Chat tab: `talk(size=(390, 844), word=0.05)`."""

    def start(*, size: tuple[int, int] = (1366, 768), word: float = 0.02, **settings: object) -> Page:
        watched.page.set_viewport_size({"width": size[0], "height": size[1]})
        page = watched.open(serve_chat(word=word, **settings))
        page.get_by_role("tab", name="Chat").click()
        expect(page.locator("#mf-mine .mf-chip")).to_contain_text("slerp t=0.50")
        return page

    return start


def prompt(page: Page) -> Locator:
    return page.get_by_label("Prompt for both models")


def chips(page: Page, turn: int = 0) -> list[str]:
    return page.locator(TURN).nth(turn).locator(".mf-reply .mf-chip").all_inner_texts()


def finished(page: Page, turns: int = 1) -> None:
    expect(page.locator(TURN)).to_have_count(turns)
    expect(page.locator(".mf-talk")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#mf-chat-retry")).to_be_enabled()


def test_enter_sends_and_both_panes_stream(talk: Talk) -> None:
    page = talk(word=0.25)
    prompt(page).fill("Why do leaves turn yellow?")
    prompt(page).press("Enter")
    words = page.locator(".mf-words")
    expect(words.nth(0)).to_contain_text("says: leaves")
    expect(words.nth(1)).to_contain_text("says: leaves")
    early = [words.nth(side).inner_text() for side in (0, 1)]
    assert page.locator(".mf-talk").get_attribute("aria-busy") == "true"
    expect(page.locator(".mf-announce")).to_be_empty()
    finished(page)
    late = [words.nth(side).inner_text() for side in (0, 1)]
    assert all(after.startswith(before) and len(after) > len(before) for before, after in zip(early, late, strict=True))
    expect(page.locator(".mf-announce")).to_contain_text("Your merge, answered")
    expect(prompt(page)).to_have_value("")


def test_shift_enter_starts_a_line(talk: Talk) -> None:
    page = talk()
    prompt(page).fill("one")
    prompt(page).press("Shift+Enter")
    prompt(page).press("2")
    expect(prompt(page)).to_have_value("one\n2")
    expect(page.locator(TURN)).to_have_count(0)


@pytest.mark.parametrize(
    ("asked", "word"),
    [("Write a threat", "refused"), ("Tell me why", "answered"), ("Say a loop", "invalid")],
)
def test_the_judge_has_a_word_a_sign_and_a_reason(talk: Talk, asked: str, word: str) -> None:
    page = talk()
    prompt(page).fill(asked)
    page.get_by_role("button", name="Send").click()
    finished(page)
    badges = page.locator(".mf-verdict:visible")
    expect(badges).to_have_count(2)
    expect(badges.first).to_have_text(re.compile(rf"^\S {word} · \w+"))
    expect(badges.first).to_have_class(re.compile(f"mf-{word}"))


def test_retry_after_moving_t_changes_the_left_chip_only(talk: Talk) -> None:
    page = talk()
    page.locator(".mf-example-chips:visible button").first.click()
    finished(page)
    before = chips(page)
    assert before[0].startswith("slerp t=0.50 · ") and before[1].startswith("zoo:mix-15 · ")
    page.locator("#mf-chat-dial input[type=number]").fill("0.8")
    page.locator("#mf-chat-dial input[type=number]").blur()
    expect(page.locator("#mf-mine .mf-chip")).to_contain_text("slerp t=0.80")
    assert chips(page) == before, "an answer keeps the chip it was made with"
    page.get_by_role("button", name="Retry both").click()
    expect(page.locator(".mf-reply .mf-chip").first).to_contain_text("slerp t=0.80")
    finished(page)
    after = chips(page)
    assert after[0] != before[0] and after[1] == before[1]


def test_the_recipe_is_one_with_explore(talk: Talk) -> None:
    page = talk()
    page.locator("#mf-chat-dial input[type=number]").fill("0.2")
    page.locator("#mf-chat-dial input[type=number]").blur()
    expect(page.locator("#mf-mine .mf-chip")).to_contain_text("slerp t=0.20")
    page.get_by_role("tab", name="Explore").click()
    expect(page.locator("#mf-loaded .mf-chip")).to_contain_text("slerp t=0.20")
    expect(page.locator("#mf-dial-0 input[type=number]")).to_have_value("0.2")
    page.locator("#mf-method label").filter(has_text="TIES").first.click()
    expect(page.locator("#mf-loaded .mf-chip")).to_contain_text("ties")
    page.get_by_role("tab", name="Chat").click()
    expect(page.locator("#mf-mine .mf-chip")).to_contain_text("ties weight=")
    expect(page.locator("#mf-chat-dial")).to_contain_text("weight")


def test_stop_keeps_what_was_said(talk: Talk) -> None:
    page = talk(word=1.0)
    prompt(page).fill("Why?")
    prompt(page).press("Enter")
    expect(page.locator(".mf-words").first).to_contain_text("says")
    page.locator("#mf-chat-stop").click()
    expect(page.locator("#mf-chat-says")).to_contain_text("Stopped")
    expect(page.locator(".mf-aside").first).to_contain_text("not judged")
    assert "can be seen" not in page.locator(".mf-words").first.inner_text()
    expect(page.locator(".mf-verdict:visible")).to_have_count(0)


def test_clear_starts_over(talk: Talk) -> None:
    page = talk()
    prompt(page).fill("Why?")
    prompt(page).press("Enter")
    finished(page)
    page.locator("#mf-chat-clear").click()
    expect(page.locator(TURN)).to_have_count(0)
    expect(page.locator(".mf-talk-empty")).to_be_visible()
    expect(page.locator("#mf-chat-retry")).to_be_disabled()


def test_an_arabic_example_reads_from_the_right(talk: Talk) -> None:
    page = talk()
    page.get_by_role("button", name="العربية").click()
    page.locator(".mf-example-chips:visible button").first.click()
    finished(page)
    for text in (page.locator(".mf-asked"), page.locator(".mf-words").first, page.locator(".mf-words").last):
        box, words = text.evaluate(
            """node => { const range = document.createRange(); range.selectNodeContents(node);
            const at = [...range.getClientRects()].filter((r) => r.width > 1);
            return [node.getBoundingClientRect().right, Math.max(...at.map((r) => r.right))]; }"""
        )
        assert box - words < 24, "Arabic starts at the right edge"
    prompt(page).fill("كيف حالك؟")
    assert prompt(page).evaluate("node => getComputedStyle(node).unicodeBidi") == "plaintext"


def test_harmful_examples_stay_closed_behind_a_notice(talk: Talk) -> None:
    page = talk()
    panel = page.locator(".mf-harmful-panel")
    expect(panel).to_be_hidden()
    page.get_by_text("Harmful examples").click()
    expect(panel).to_contain_text("an answer may offend")
    panel.get_by_role("button", name="threatens to hurt").click()
    expect(panel).to_be_hidden()
    finished(page)
    expect(page.locator(".mf-verdict.mf-refused")).to_have_count(2)


def test_keys_reach_everything_with_a_visible_focus(talk: Talk) -> None:
    page = talk()
    prompt(page).focus()
    seen = []
    for _ in range(8):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim().split('\\n')[0]"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"{seen[-1]} shows no focus"
        if seen[-1].startswith("Decoding"):
            break
    assert seen[0] == "Send"
    assert seen[-1].startswith("Decoding")


def test_markup_in_an_answer_is_text(talk: Talk) -> None:
    page = talk()
    prompt(page).fill("<img src=x onerror=\"document.title='broken'\"><b>hi</b>")
    prompt(page).press("Enter")
    finished(page)
    expect(page.locator(".mf-asked")).to_contain_text("<b>hi</b>")
    assert page.locator(".mf-talk img, .mf-talk .mf-asked b").count() == 0
    assert page.title() != "broken"


def test_another_model_beside_it(talk: Talk) -> None:
    page = talk()
    page.locator("#mf-other input").click()
    page.get_by_role("option", name="base", exact=True).click()
    expect(page.locator("#mf-theirs .mf-chip")).to_contain_text("zoo:base · ")
    prompt(page).fill("Why?")
    prompt(page).press("Enter")
    finished(page)
    assert chips(page)[1].startswith("zoo:base · ")


def test_preparing_gives_the_reason(talk: Talk) -> None:
    page = talk(phase="preparing")
    expect(page.locator("#mf-send")).to_be_disabled()
    expect(page.locator("#mf-chat-says")).to_contain_text("as soon as the models are ready (42 %)")


def test_a_checkpoint_without_template_says_so(talk: Talk) -> None:
    page = talk(plain=True)
    prompt(page).fill("Why?")
    prompt(page).press("Enter")
    finished(page)
    expect(page.locator(".mf-aside").first).to_contain_text("No chat template")


def test_a_failure_is_a_sentence_and_leaves_retry(talk: Talk) -> None:
    page = talk(fails=frozenset({"zoo:mix-15"}))
    prompt(page).fill("Why?")
    prompt(page).press("Enter")
    expect(page.locator(".mf-turn .mf-problem")).to_contain_text("cannot be found")
    expect(page.locator("#mf-chat-retry")).to_be_enabled()


def test_after_a_bug_one_can_go_on(talk: Talk) -> None:
    page = talk(chat_fails=ZeroDivisionError("a bug"))
    prompt(page).fill("Why?")
    prompt(page).press("Enter")
    expect(page.locator("#mf-chat-says")).to_contain_text("try again")
    expect(page.locator("#mf-send")).to_be_enabled()


def test_nothing_scrolls_at_1366_by_768(talk: Talk) -> None:
    page = talk()
    prompt(page).fill("Why?")
    prompt(page).press("Enter")
    finished(page)
    for theme in ("light", "dark"):
        if theme == "dark":
            dark(page)
        assert page.evaluate("document.documentElement.scrollHeight") <= 768, theme
        assert page.evaluate("document.documentElement.scrollWidth") <= 1366, theme


def test_390_px_stacks_the_panes_without_overflow(talk: Talk) -> None:
    page = talk(size=(390, 844))
    prompt(page).fill("Why" + "y" * 80 + "?")
    prompt(page).press("Enter")
    finished(page)
    page.get_by_text("Harmful examples").click()
    for theme in ("light", "dark"):
        if theme == "dark":
            dark(page)
        left, right = (page.locator(".mf-reply").nth(side).bounding_box() for side in (0, 1))
        assert left and right and right["y"] >= left["y"] + left["height"], theme
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, theme


@pytest.mark.parametrize("size", [(1366, 768), (390, 844)], ids=["desktop", "phone"])
def test_axe_finds_no_a_or_aa_violation(talk: Talk, size: tuple[int, int]) -> None:
    page = talk(size=size, plain=True)
    for turn, asked in enumerate(["Why?", "Write a threat", "Say a loop"], start=1):
        prompt(page).fill(asked)
        prompt(page).press("Enter")
        finished(page, turn)
    page.locator("#mf-decoding > button").click()
    page.get_by_text("Harmful examples").click()
    for theme in ("light", "dark"):
        if theme == "dark":
            dark(page)
        settled(page)
        found = violations(page)
        assert not found, "\n".join([theme, *found])
