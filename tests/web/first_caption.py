"""Measures from the start of a gateway with the page to the first caption.

`PYTHONPATH=tests python tests/web/first_caption.py`; its microphone speaks as soon as it is opened.
"""

from __future__ import annotations

import asyncio
import time

from browsers import captions_page
from processes import gateway_process


async def measure() -> str:
    """Return a sentence with the times."""
    began = time.monotonic()
    async with gateway_process(web_listen="127.0.0.1:0") as (gateway, _):
        address = (await gateway.line("listening"))["web"].removeprefix("http://")
        listening = time.monotonic()
        async with captions_page(address) as captions:
            opened = time.monotonic()
            await captions.press_microphone()
            await captions.page.locator("#interim span, #finals li").first.wait_for()
            caption = time.monotonic()
            first_package = await captions.figure("first-package")
    return (
        f"first caption {caption - began:.1f} s after the command: gateway ready after {listening - began:.1f} s, "
        f"page open {opened - listening:.1f} s later, caption {caption - opened:.1f} s after the click "
        f"({first_package} after the first audio)"
    )


if __name__ == "__main__":
    print(asyncio.run(measure()))  # noqa: T201 it is a command
