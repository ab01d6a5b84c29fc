"""What a person does on the chat page, in Chromium, on a machine of its own.

    python3 visit.py < visit.json > seen.json

Runs where Debian's python3 and chromium are; nothing else of this project is there. It reads
{"url", "email", "password", "question", "pdf", "about", "pictures", "language", "first"}, of which
the last says whether nobody has signed in there before, and prints what it saw:
{"language", "answer", "about", "pieces", "addresses", "signed_out"}: pieces that the answers came
in, the addresses of all requests and web sockets, the status of a request after signing out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, WebSocket, sync_playwright

# Root has no sandbox of its own, and the machine is thrown away. What Chromium itself would ask its
# makers finds no way; what the page asks is seen.
FLAGS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ai.lab"]
# Milliseconds until what a busy machine does is done.
PATIENCE = 120_000
CHAT = "#chat-input"
ANSWERS = ".chat-assistant"
# What is written on the page: that it is new, ask again, and the way out.
WORDS = {
    "zh-CN": {"news": "确认，开始使用", "again": "重新生成", "menu": "用户菜单", "out": "登出"},
    "en-US": {
        "news": "Okay, Let's Go!",
        "again": "Regenerate",
        "menu": "User menu",
        "out": "Sign Out",
    },
}
# What each piece of a streamed answer has in it.
PIECE = "response.output_text.delta"


def main() -> None:
    wanted = json.load(sys.stdin)
    addresses: list[str] = []
    pieces: list[str] = []

    def listen(socket: WebSocket) -> None:
        addresses.append(socket.url)
        socket.on("framereceived", lambda frame: pieces.append(str(frame)))

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        size = {"width": 1280, "height": 900}
        page = browser.new_page(locale=wanted["language"], viewport=size)
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: addresses.append(request.url))
        page.on("websocket", listen)
        seen = _visit(page, wanted)
        browser.close()
    seen["pieces"] = sum(PIECE in piece for piece in pieces)
    json.dump({**seen, "addresses": sorted({*addresses})}, sys.stdout)


def _visit(page: Page, wanted: dict[str, Any]) -> dict[str, Any]:
    pictures = Path(wanted["pictures"])
    seen: dict[str, Any] = {}
    words = WORDS[wanted["language"]]

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
    if wanted["first"]:
        # What is new in this version, which its administrators are shown once.
        news = page.get_by_text(words["news"])
        news.click()
        news.wait_for(state="hidden")
    seen["answer"] = _ask(page, wanted["question"], words["again"])
    picture("2-answered")
    # Its text is taken out of it before it can be asked about.
    with page.expect_response(lambda reply: "/process/status" in reply.url) as read:
        page.set_input_files("input[type=file][multiple]", wanted["pdf"])
    read.value.finished()
    page.get_by_text(Path(wanted["pdf"]).name).first.wait_for()
    picture("3-with-a-file")
    seen["about"] = _ask(page, wanted["about"], words["again"])
    picture("4-about-the-file")
    page.get_by_role("button", name=words["menu"]).first.click()
    page.get_by_text(words["out"]).click()
    page.wait_for_selector("input[type=password]")
    picture("5-signed-out")
    seen["signed_out"] = page.evaluate("fetch('/api/v1/chats/').then(reply => reply.status)")
    return seen


def _ask(page: Page, question: str, again: str) -> str:
    """The answer, once it is complete."""
    before = page.locator(ANSWERS).count()
    page.click(CHAT)
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    # It can be had once more as soon as it is.
    page.get_by_role("button", name=again).nth(before).wait_for()
    return page.locator(ANSWERS).nth(before).inner_text().strip()


if __name__ == "__main__":
    main()
