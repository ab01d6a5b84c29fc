"""What a person does on the page of what is watched, in Chromium, on a machine of its own.

    python3 visit.py < visit.json > seen.json

Reads {"url", "keys", "pictures", "language", "dark"}; the last of the keys sees the page.
Prints what it saw: {"refused", "text", "addresses", "errors", "language"}: what each other key was
told, the text of the page, the addresses of all requests, and what went wrong in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

# Root has no sandbox of its own; and no other name leads anywhere.
FLAGS = ("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {}")
PATIENCE = 120_000


def main() -> None:
    wanted = json.load(sys.stdin)
    addresses: list[str] = []
    errors: list[str] = []
    flags = [flag.format(urlsplit(wanted["url"]).hostname) for flag in FLAGS]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        page = browser.new_page(
            locale=wanted["language"],
            viewport={"width": 1280, "height": 900},
            color_scheme="dark" if wanted["dark"] else "light",
        )
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: addresses.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        seen = _visit(page, wanted)
        browser.close()
    json.dump({**seen, "addresses": sorted({*addresses}), "errors": errors}, sys.stdout)


def _visit(page: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    pictures = Path(wanted["pictures"])
    refused = []
    page.goto(wanted["url"])
    *others, viewer = wanted["keys"]
    for key in others:
        page.fill("#key", key)
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('#wrong').textContent")
        refused.append(page.inner_text("#wrong"))
        page.evaluate("document.querySelector('#wrong').textContent = ''")
    page.screenshot(path=pictures / "1-key.png")
    page.fill("#key", viewer)
    page.keyboard.press("Enter")
    page.wait_for_selector("#machines .gpu")
    page.wait_for_selector("#models figure")
    page.screenshot(path=pictures / "2-page.png", full_page=True)
    language = page.evaluate("document.documentElement.lang")
    return {"refused": refused, "text": page.inner_text("body"), "language": language}


if __name__ == "__main__":
    main()
