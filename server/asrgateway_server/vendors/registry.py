"""The registry: one line for each backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from asrgateway_server.backends.base import Backend, Emit, ItemSource, OpenBackend
from asrgateway_server.backends.prepared import PreparedBackend
from asrgateway_server.backends.websocket import over_websocket
from asrgateway_server.backends.worker_process import in_worker
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import DASHSCOPE_MODELS
from asrgateway_server.served_models import served_models
from asrgateway_server.settings import Settings, SettingsError, unknown_value
from asrgateway_server.vendors.dashscope.adapters.fun_asr import fun_asr
from asrgateway_server.vendors.dashscope.adapters.paraformer import paraformer
from asrgateway_server.vendors.dashscope.adapters.qwen3_asr import Qwen3Asr
from asrgateway_server.vendors.dashscope.credentials import Keyring
from asrgateway_server.vendors.dashscope.hotwords.preparation import HotwordPreparation
from asrgateway_server.vendors.dashscope.official_sdk.backend import over_sdk, sessions, tasks
from asrgateway_server.vendors.pocketsphinx.adapter import PocketSphinx

BACKENDS: Final[Mapping[str, OpenBackend]] = {
    "pocketsphinx": in_worker(PocketSphinx),
    "paraformer": over_websocket(paraformer),
    "fun_asr": over_websocket(fun_asr),
    "qwen3_asr": over_websocket(Qwen3Asr),
}

#: The same on the vendor's own SDK, for the models that the operator wants on it.
ON_OFFICIAL_SDK: Final[Mapping[str, OpenBackend]] = {
    "paraformer": over_sdk(paraformer, tasks),
    "fun_asr": over_sdk(fun_asr, tasks),
    "qwen3_asr": over_sdk(Qwen3Asr, sessions),
}


@asynccontextmanager
async def open_backends(settings: Settings, metrics: Metrics) -> AsyncIterator[Mapping[str, Backend]]:
    """Open every backend, and close them all at the end.

    Raises:
        SettingsError: A transport is chosen for what has none, or a key or certificate cannot be read.
    """
    on_sdk = _models_on_sdk(settings)
    async with AsyncExitStack() as stack:
        keyring = await stack.enter_async_context(Keyring(settings))
        # One for all of them: an account's tables are few.
        hotwords = await stack.enter_async_context(HotwordPreparation(settings, keyring))

        async def opened(name: str) -> Backend:
            usual = await stack.enter_async_context(BACKENDS[name](settings, keyring, metrics))
            if name not in on_sdk.values():
                return usual
            other = await stack.enter_async_context(ON_OFFICIAL_SDK[name](settings, keyring, metrics))
            return _ByModel(usual, other, on_sdk)

        yield {name: PreparedBackend(await opened(name), hotwords) for name in BACKENDS}


class _ByModel:
    """One backend on two transports; see ``Backend``."""

    def __init__(self, usual: Backend, other: Backend, models: Collection[str]) -> None:
        self._usual = usual
        self._other = other
        self._models = models

    async def converse(self, config: RecognitionConfig, next_item: ItemSource, emit: Emit) -> None:
        """Run one connection on the transport that is chosen for the model; see ``Backend``."""
        backend = self._other if config.model.name in self._models else self._usual
        await backend.converse(config, next_item, emit)


def _models_on_sdk(settings: Settings) -> Mapping[str, str]:
    """Return the models that go over the vendor's own SDK, with their backends; what is said of a model goes first."""
    models = {model.name: model for model in (*DASHSCOPE_MODELS, *served_models(settings).models.values())}
    rows = [model for model in models.values() if model.backend in ON_OFFICIAL_SDK]
    known = {model.name for model in rows} | ON_OFFICIAL_SDK.keys()
    if unknown := sorted(settings.transports.keys() - known):
        unknown_name = unknown_value(unknown[0], known, "model or backend with a transport to choose")
        raise SettingsError(f"transports: {unknown_name}; known are: {', '.join(sorted(known))}")
    return {
        model.name: model.backend
        for model in rows
        if settings.transports.get(model.name, settings.transports.get(model.backend)) == "official_sdk"
    }
