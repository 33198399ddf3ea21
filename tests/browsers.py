"""The page for browsers, in a real Chromium whose microphone is a recording."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import ConsoleMessage, Page, WebSocket, async_playwright

from calls import RECORDINGS

CHROMIUM: Final = Path("/usr/bin/chromium")
# The flags that keep it off the network; without them it looks for its maker's servers at each start.
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
# Everything takes long on a busy machine.
_PATIENCE_MS: Final = 60_000


class Captions:
    """The page as its user sees it.

    Attributes:
        page: The page itself.
        problems: Errors and warnings of the browser's console: none is to be expected.
        sent: What the page sent on its WebSockets.
        urls: The addresses of those.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.sent: list[str | bytes] = []
        self.urls: list[str] = []
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("websocket", self._note_socket)

    async def press_microphone(self) -> None:
        await self.page.click("#microphone")

    async def recognize(self, file: Path) -> None:
        """Give the page a file, and wait for the last words."""
        await self.page.set_input_files("#file", file)
        await self.state("done")

    async def state(self, name: str) -> None:
        """Wait for a state of the page, such as ``listening``."""
        await self.page.wait_for_selector(f"body[data-state={name}]")

    async def shows(self, text: str) -> None:
        """Wait for a text."""
        await self.page.get_by_text(text, exact=True).first.wait_for()

    async def finals(self) -> list[str]:
        """The final captions."""
        return await self.page.locator("#finals li").all_inner_texts()

    async def figure(self, name: str) -> str:
        return await self.page.inner_text(f"#{name}")

    async def saved(self, name: str) -> str:
        """Click on the link of a format; return the file."""
        async with self.page.expect_download() as download:
            await self.page.click(f"[data-format={name}]")
        return (await (await download.value).path()).read_text(encoding="utf-8")

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(message.text)

    def _note_socket(self, socket: WebSocket) -> None:
        self.urls.append(socket.url)
        socket.on("framesent", self._note_frame)

    def _note_frame(self, frame: str | bytes) -> None:
        self.sent.append(frame)


@asynccontextmanager
async def captions_page(
    address: object, *, microphone: Path = RECORDINGS / "mother.wav", **context: Any
) -> AsyncIterator[Captions]:
    """Open the page of a gateway.

    Args:
        address: The gateway's ``web_address``.
        microphone: What the microphone hears, again and again.
        context: Options of playwright's ``new_context``.
    """
    flags = [*_FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    with tempfile.TemporaryDirectory() as downloads:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=flags, downloads_path=downloads, timeout=_PATIENCE_MS
            )
            try:
                page = await (await browser.new_context(**{"locale": "en-GB"} | context)).new_page()
                page.set_default_timeout(_PATIENCE_MS)
                captions = Captions(page)
                await page.goto(f"http://{address}/")
                await captions.state("ready")
                yield captions
            finally:
                await browser.close()
