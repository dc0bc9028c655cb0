"""Make the README's pictures from a running app: `python scripts/screenshots.py ADDRESS [FOLDER]`."""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "pictures"
DESKTOP, PHONE = (1366, 768), (390, 844)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-color-profile=srgb"]
SHOTS = (
    ("explore_light", "light", DESKTOP),
    ("explore_dark", "dark", DESKTOP),
    ("explore_phone", "light", PHONE),
)


def settle(page: Page, address: str, theme: str) -> None:
    """Open the page and wait until the chart is drawn and the merge is made."""
    page.goto(f"{address}?__theme={theme}")
    page.wait_for_selector("#mf-chart .main-svg", timeout=60_000)
    page.wait_for_function(
        "document.querySelector('#mf-loaded')?.innerText.includes(' ms')"
        " || document.querySelector('#mf-status .mf-failed')",
        timeout=180_000,
    )
    page.wait_for_timeout(600)


def show_a_measured_merge(page: Page) -> None:
    """Load the first merge of the list, so that the picture shows figures with intervals and who pays."""
    page.locator(".mf-list summary").click()
    merge = page.locator(".mf-list button").filter(has_text="slerp").first
    if merge.count():
        merge.click()
        page.wait_for_selector("#mf-figures .mf-measured")
    page.mouse.click(4, 4)
    page.evaluate("document.activeElement?.blur()")
    page.wait_for_timeout(800)


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of the running app, e.g. http://127.0.0.1:7860/")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    own = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=own, args=FLAGS)
        for name, theme, (width, height) in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height})
            settle(page, options.address, theme)
            show_a_measured_merge(page)
            page.screenshot(path=options.folder / f"{name}.png", full_page=width < 600)
            page.close()
            print(options.folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
