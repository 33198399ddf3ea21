"""The vendor's account, and gateways' hot words before it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from all_settings import Settings
from asrgateway_server.config import Adaptation, AudioFormat, Hotword, RecognitionConfig
from asrgateway_server.vendors.dashscope.credentials import Keyring
from asrgateway_server.vendors.dashscope.hotwords.preparation import HotwordPreparation
from catalogues import WITH_KEY
from dashscope_emulator import Emulator, EmulatorOptions, Knobs, running_emulator

MODELS = WITH_KEY.models


def call(*texts: str, model: str = "fun-asr-realtime", **values: Any) -> RecognitionConfig:
    """A call with these hot words."""
    adaptation = Adaptation(hotwords=tuple(Hotword(text=text) for text in texts))
    return RecognitionConfig(model=MODELS[model], audio=AudioFormat(), adaptation=adaptation, **values)


class Account:
    """The vendor's account, and as many gateways as a test wants."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.vendor: Emulator

    async def open(self, api_key: str | None = "sk-test", **knobs: Any) -> Account:
        options = EmulatorOptions(recognizer="script", api_key=api_key, knobs=Knobs(**knobs))
        self.vendor = await self._stack.enter_async_context(running_emulator(options))
        return self

    async def gateway(
        self, clock: Callable[[], float] = time.time, look_seconds: float = 60.0, **settings: Any
    ) -> HotwordPreparation:
        values = {"dashscope_url": self.vendor.url, "dashscope_api_key": "sk-test"} | settings
        chosen = Settings(**values)
        keyring = await self._stack.enter_async_context(Keyring(chosen))
        preparation = HotwordPreparation(chosen, keyring, clock, look_seconds=look_seconds)
        return await self._stack.enter_async_context(preparation)

    @property
    def tables(self) -> list[str]:
        """The ids of all tables, from the oldest on."""
        return [table.vocabulary_id for table in self.vendor.vocabularies.page(None, 0, 1000)]


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with AsyncExitStack() as stack:
        yield Account(stack)
