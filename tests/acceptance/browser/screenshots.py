"""Writes each page of the console as a PNG: `python -m acceptance.browser.screenshots FOLDER`, in the folder of the
tests."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from acceptance.browser.console_pages import PAGES, local_console

WIDTHS = {1280: 860, 375: 812}
SWITCHES = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


def main(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, local_console(Path(data)) as local, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
        for width, height in WIDTHS.items():
            for theme in ("light", "dark"):
                size: Any = {"width": width, "height": height}
                context = browser.new_context(viewport=size, color_scheme=theme)
                page = context.new_page()
                page.goto(f"{local.origin}/login")
                if not names:
                    page.screenshot(path=folder / f"login-{width}-{theme}.png", full_page=True)
                page.goto("about:blank")
                page.goto(local.link())
                page.wait_for_url(f"**{local.app.prefix}/")
                for name, go in PAGES.items():
                    if not names or name in names:
                        go(page, local)
                        page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)
                context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
