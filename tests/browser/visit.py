"""What a person does on the chat page, in Chromium, on a machine of its own.

    python3 visit.py < visit.json > seen.json

Runs where Debian's python3 and chromium are; nothing else of this project is there. It reads
{"url", "ca", "email", "password", "question", "pdf", "about", "pictures"} and prints what it saw:
{"language", "steps", "answer", "about", "grew", "addresses", "sockets", "signed_out"}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

# Seconds until a page of a busy machine is there; milliseconds between two looks at an answer.
PATIENCE, LOOK_EVERY = 120, 20
CHAT = "#chat-input"
ANSWERS = ".chat-assistant"


def main() -> None:
    wanted = json.load(sys.stdin)
    addresses: list[str] = []
    sockets: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(locale="zh-CN", viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE * 1000)
        page.on("request", lambda request: addresses.append(request.url))
        page.on("websocket", lambda socket: sockets.append(socket.url))
        seen = _visit(page, wanted)
        browser.close()
    json.dump(
        {**seen, "addresses": sorted({*addresses}), "sockets": sorted({*sockets})}, sys.stdout
    )


def _visit(page: Page, wanted: dict[str, Any]) -> dict[str, Any]:
    pictures = Path(wanted["pictures"])
    seen: dict[str, Any] = {}

    def picture(name: str) -> None:
        page.screenshot(path=pictures / f"{name}.png")

    page.goto(wanted["url"])
    page.wait_for_selector("input[type=password]")
    seen["language"] = page.evaluate("document.documentElement.lang")
    picture("1-sign-in")
    page.fill("input[type=email]", wanted["email"])
    page.fill("input[type=password]", wanted["password"])
    page.keyboard.press("Enter")
    page.wait_for_selector(CHAT)
    # What is new in this version, which its administrators are shown once.
    news = page.get_by_text("确认，开始使用")
    news.click()
    news.wait_for(state="hidden")
    seen["answer"], seen["grew"] = _ask(page, wanted["question"])
    picture("2-answered")
    # Its text is taken out of it before it can be asked about.
    with page.expect_response(
        lambda reply: reply.url.endswith("/process/status?stream=true")
    ) as read:
        page.set_input_files("input[type=file][multiple]", wanted["pdf"])
    read.value.finished()
    page.get_by_text(Path(wanted["pdf"]).name).first.wait_for()
    picture("3-with-a-file")
    seen["about"], _ = _ask(page, wanted["about"])
    picture("4-about-the-file")
    page.get_by_role("button", name="用户菜单").first.click()
    page.get_by_text("登出").click()
    page.wait_for_selector("input[type=password]")
    picture("5-signed-out")
    seen["signed_out"] = page.evaluate("fetch('/api/v1/chats/').then(reply => reply.status)")
    return seen


def _ask(page: Page, question: str) -> tuple[str, int]:
    """The answer, and how many lengths it had while it grew."""
    before = page.locator(ANSWERS).count()
    page.click(CHAT)
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    answer = page.locator(ANSWERS).nth(before)
    answer.wait_for()
    lengths: set[int] = set()
    for _ in range(PATIENCE * 1000 // LOOK_EVERY):
        lengths.add(len(answer.inner_text().strip()))
        # It can be had once more as soon as it is complete.
        if page.get_by_role("button", name="重新生成").count() > before:
            break
        page.wait_for_timeout(LOOK_EVERY)
    return answer.inner_text().strip(), len(lengths)


if __name__ == "__main__":
    main()
