"""Makes the README's picture of the page: `PYTHONPATH=tests python tests/web/picture.py`. Best with the font Inter."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from browsers import captions_page
from calls import RECORDINGS, ROOT
from dashscope_emulator.recognizers.script import load_script
from emulated_vendor import vendor_and_gateway

PICTURE: Final = ROOT / "docs" / "images" / "web-page.png"
_SCRIPT: Final = Path(__file__).with_name("picture.yaml")
_SIZE: Final = {"width": 1100, "height": 664}


async def take() -> None:
    """Write the picture."""
    emulator = {"recognizer": "script", "script": load_script(_SCRIPT)}
    async with (
        vendor_and_gateway(emulator=emulator, web_listen="127.0.0.1:0") as (_, gateway, _),
        captions_page(gateway.web_address, microphone=RECORDINGS / "boy.wav", viewport=_SIZE) as captions,
    ):
        await captions.press_microphone()
        await captions.page.locator("#interim", has_text="A call goes on").wait_for()
        await captions.page.screenshot(path=PICTURE)


if __name__ == "__main__":
    asyncio.run(take())
