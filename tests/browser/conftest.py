"""A real Chromium on the real page, with made-up measurements behind it, so that a test takes seconds."""

import os
import shutil
import socket
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
expect.set_options(timeout=30000)  # a busy machine is slow, not wrong

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-color-profile=srgb"]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"


def _bundled() -> bool:
    """Whether Playwright brought a Chromium of its own."""
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    return any(cache.glob("chromium*"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.browser)
    if here and CHROMIUM is None and not _bundled():
        reason = "NO CHROMIUM: the browser tests did not run. Install it (apt install chromium) and run them again."
        warnings.warn(reason, stacklevel=1)
        for item in here:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    own = {"executable_path": CHROMIUM} if CHROMIUM else {}
    return {**browser_type_launch_args, **own, "args": FLAGS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict) -> dict:
    return {**browser_context_args, "viewport": {"width": 1366, "height": 768}}


@pytest.fixture(scope="session")
def visit(browser: Browser, browser_context_args: dict) -> Iterator[BrowserContext]:
    """One profile for all tests: every page opens a session of its own, but scripts are fetched only once."""
    context = browser.new_context(**browser_context_args)
    yield context
    context.close()


@pytest.fixture
def page(visit: BrowserContext) -> Iterator[Page]:
    opened = visit.new_page()
    yield opened
    opened.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """Serve the real page on a fake service: `serve(phase="preparing") -> address`; one server for equal settings."""
    from tests.ui.fakes import FakeService
    from ui.page import build, launch

    running: dict[str, tuple[str, object]] = {}

    def start(**settings: object) -> str:
        key = repr(sorted(settings.items()))
        if key not in running:
            page = build(FakeService(**settings))  # type: ignore[arg-type]
            _, url, _ = launch(
                page, server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True
            )
            running[key] = (url, page)
        return running[key][0]

    yield start
    for _, page in running.values():
        page.close()  # type: ignore[attr-defined]


@dataclass
class Watched:
    """A page whose console and requests are written down."""

    page: Page
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def open(self, url: str, theme: str = "light") -> Page:
        """Open the page and wait until chart and controls show the session."""
        self.page.set_default_timeout(90_000)
        self.page.goto(f"{url}?__theme={theme}")
        self.page.wait_for_selector("#mf-chart .main-svg")
        expect(self.page.locator("#mf-loaded .mf-chip")).not_to_be_empty()
        expect(self.page.locator("#mf-dial-0 input[type=range]")).to_be_visible()
        return self.page


def dark(page: Page) -> None:
    """The other theme, as `?__theme=dark` sets it, without opening the page anew."""
    words = page.locator(".gradio-container").first
    shown = words.evaluate("node => getComputedStyle(node).color")
    page.evaluate("document.body.classList.add('dark')")
    expect(words).not_to_have_css("color", shown)


@pytest.fixture
def watched(page: Page) -> Iterator[Watched]:
    """Fails the test on a console error, a page error or a request to another host."""
    found = Watched(page)
    page.on("console", lambda message: found.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda problem: found.errors.append(str(problem)))
    page.on(
        "request",
        lambda request: (
            found.hosts.add(urlsplit(request.url).hostname or "") if request.url.startswith("http") else None
        ),
    )
    yield found
    assert not found.errors, f"console errors: {found.errors}"
    assert found.hosts <= {"127.0.0.1", "localhost"}, f"requests to other hosts: {found.hosts}"
