"""A gateway that is replaced while the page is listening."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from browsers import Captions, captions_page
from dashscope_emulator import EmulatorOptions, running_emulator
from gateways import open_gateway
from languages.recordings import sentences, write_wav
from ports import free_port
from processes import gateway_process

pytestmark = pytest.mark.usefixtures("chromium")

LENGTHS = (5, 5, 5, 5, 5)
WORDS = [f"w{number}" for number in range(sum(LENGTHS))]


@pytest.fixture
def marked_file(tmp_path: Path) -> Path:
    """A WAV file whose words are numbered."""
    return write_wav(tmp_path / "marked.wav", sentences(LENGTHS))


@pytest.fixture
def web_address() -> str:
    """A port that both gateways take, one after the other."""
    return f"127.0.0.1:{free_port()}"


async def test_a_gateway_that_drains_loses_and_doubles_no_word(marked_file: Path, web_address: str) -> None:
    async with AsyncExitStack() as stack:
        settings = await _settings(stack)
        async with open_gateway(web_listen=web_address, drain_seconds=20, **settings):
            captions = await stack.enter_async_context(captions_page(web_address))
            await _begin(captions, marked_file)
        async with open_gateway(web_listen=web_address, **settings):
            assert await _words(captions) == WORDS


async def test_a_gateway_that_is_killed_loses_and_doubles_no_word(marked_file: Path, web_address: str) -> None:
    async with AsyncExitStack() as stack:
        settings = await _settings(stack)
        async with gateway_process(web_listen=web_address, **settings) as (gateway, _):
            captions = await stack.enter_async_context(captions_page(web_address))
            await _begin(captions, marked_file)
            gateway.process.kill()
        async with gateway_process(web_listen=web_address, **settings):
            assert await _words(captions) == WORDS


async def _settings(stack: AsyncExitStack) -> dict[str, Any]:
    vendor = await stack.enter_async_context(running_emulator(EmulatorOptions(recognizer="markers")))
    return {"dashscope_url": vendor.url, "dashscope_api_key": "k", "embedded_workers": "0"}


async def _begin(captions: Captions, file: Path) -> None:
    """Give the page a file, and return in the middle of its second sentence."""
    await captions.page.set_input_files("#file", file)
    await captions.shows(" ".join(WORDS[:5]))
    await captions.page.locator("#interim", has_text=WORDS[6]).wait_for()


async def _words(captions: Captions) -> list[str]:
    await captions.state("done")
    return " ".join(await captions.finals()).split()
