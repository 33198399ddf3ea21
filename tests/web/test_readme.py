"""The page that clients/web/README.md shows runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page

from browsers import captions_page
from calls import ROOT
from dashscope_emulator.recognizers.script import load_script
from emulated_vendor import vendor_and_gateway

pytestmark = pytest.mark.usefixtures("chromium")

README = (ROOT / "clients" / "web" / "README.md").read_text(encoding="utf-8")
SPEECH = load_script(Path(__file__).with_name("speech.yaml"))


def code(language: str) -> str:
    """The first code of that language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


async def put(page: Page) -> None:
    """Put the README's page in the place of the gateway's, under the same Content-Security-Policy."""
    await page.route("**/own.js", lambda route: route.fulfill(body=code("js"), content_type="text/javascript"))
    await page.evaluate(
        "(html) => (document.body.innerHTML = html) && import('/own.js').then(() => null)", code("html")
    )


async def test_the_page_of_the_readme_shows_captions() -> None:
    emulator = {"recognizer": "script", "script": SPEECH}
    async with (
        vendor_and_gateway(emulator=emulator, web_listen="127.0.0.1:0") as (_, gateway, _),
        captions_page(gateway.web_address) as captions,
    ):
        await put(captions.page)
        await captions.page.click("#microphone")
        await captions.shows("Good morning. how are")
        await captions.page.click("#microphone")
        await captions.page.locator("#microphone", has_text="Start").wait_for()
        assert await captions.page.inner_text("#captions") == "Good morning. how are"
        assert captions.problems == []
