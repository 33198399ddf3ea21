"""Model Studio as a vendor of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from asrgateway_server.backends.base import Backend, Upstream
from asrgateway_server.backends.connection_pool import MOST_WAITING
from asrgateway_server.backends.prepared import PreparedBackend
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.websocket import MakeAdapter, WebSocketBackend
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue, Model
from asrgateway_server.settings import SettingsError, unknown_value
from asrgateway_server.vendors.dashscope.adapters.fun_asr import FunAsrAdapter
from asrgateway_server.vendors.dashscope.adapters.owned_parameters import owned
from asrgateway_server.vendors.dashscope.adapters.paraformer import ParaformerAdapter
from asrgateway_server.vendors.dashscope.adapters.qwen3_asr import Qwen3AsrAdapter
from asrgateway_server.vendors.dashscope.caller_key import CALLER_METADATA, verify_caller_key
from asrgateway_server.vendors.dashscope.catalogue import BLANK_MODELS, DASHSCOPE_MODELS, DEFAULT_MODEL
from asrgateway_server.vendors.dashscope.credentials import Keyring
from asrgateway_server.vendors.dashscope.endpoints import DEFAULT_ENDPOINT, Endpoint, endpoints_of
from asrgateway_server.vendors.dashscope.hotwords.preparation import HotwordPreparation
from asrgateway_server.vendors.dashscope.model import dashscope_model
from asrgateway_server.vendors.dashscope.official_sdk.backend import MakeConnection, SdkBackend, sessions, tasks
from asrgateway_server.vendors.dashscope.remote import DashScopeRemote
from asrgateway_server.vendors.dashscope.sdk_import import warn_of_untested_version
from asrgateway_server.vendors.dashscope.settings import DashScopeSettings

ON_WEBSOCKET: Final[Mapping[str, MakeAdapter]] = {
    "paraformer": ParaformerAdapter,
    "fun_asr": FunAsrAdapter,
    "qwen3_asr": Qwen3AsrAdapter,
}

#: What carries the same adapters on the official SDK, for the models that the operator wants on it.
ON_OFFICIAL_SDK: Final[Mapping[str, MakeConnection]] = {
    "paraformer": tasks,
    "fun_asr": tasks,
    "qwen3_asr": sessions,
}


class DashScope:
    """See ``Vendor``."""

    settings = DashScopeSettings
    catalogue: Sequence[Model] = DASHSCOPE_MODELS
    backends: Mapping[str, Model] = BLANK_MODELS
    default_model = DEFAULT_MODEL
    first_settings: Mapping[str, str] = {
        "DASHSCOPE_API_KEY=KEY": "a key of Alibaba Cloud's Model Studio, whose models are then served"
    }
    metadata: Collection[str] = CALLER_METADATA

    def verify_metadata(self, brought: Mapping[str, str]) -> None:
        """See ``Vendor``."""
        verify_caller_key(brought)

    def has_account(self, settings: DashScopeSettings) -> bool:
        """See ``Vendor``."""
        return settings.has_key

    def served(self, settings: DashScopeSettings) -> Sequence[Model]:
        """See ``Vendor``.

        A model that is not served in a region cannot be there; elsewhere, as in an emulator, it may be.
        """
        default = endpoints_of(settings)[DEFAULT_ENDPOINT]
        if not default.has_key and not settings.allow_caller_keys:
            return ()
        rows = (row for row in DASHSCOPE_MODELS if not default.region or default.region in row.regions)
        return [_placed(row, default) for row in rows]

    def placed(self, model: Model, endpoint: str, settings: DashScopeSettings) -> Model:
        """See ``Vendor``."""
        endpoints = endpoints_of(settings)
        chosen = endpoints.get(endpoint or DEFAULT_ENDPOINT)
        if chosen is None:
            raise ValueError(f".endpoint: {unknown_value(endpoint, endpoints, 'endpoint')}")
        if not chosen.has_key and not settings.allow_caller_keys:
            raise ValueError(f": there is no key for its endpoint {chosen.name}")
        return _placed(model, chosen)

    def open_files(self, settings: DashScopeSettings) -> int:
        """See ``Vendor``: connections that wait for calls of the default model and of those in the configuration."""
        return MOST_WAITING * settings.warm_connections * (1 + len(settings.models)) if settings.has_key else 0

    def at_emulator(self, settings: DashScopeSettings, url: str) -> DashScopeSettings:
        """See ``Vendor``."""
        here = {"url": url, "api_key_file": "", "api_key": None}
        endpoints = {name: endpoint.model_copy(update=here) for name, endpoint in settings.endpoints.items()}
        return settings.model_copy(
            update={"dashscope_url": url, "dashscope_api_key": SecretStr("emulator"), "endpoints": endpoints}
        )

    @asynccontextmanager
    async def open(
        self, settings: DashScopeSettings, served: Catalogue, metrics: Metrics
    ) -> AsyncIterator[Mapping[str, Backend]]:
        """See ``Vendor``."""
        warn_of_untested_version()
        on_sdk = _models_on_sdk(settings, served)
        async with AsyncExitStack() as stack:
            keyring = await stack.enter_async_context(Keyring(settings))
            remote = DashScopeRemote(keyring)
            # One for all of them: an account's tables and starts are few.
            hotwords = await stack.enter_async_context(HotwordPreparation(settings, keyring))
            limiter = StartLimiter(settings, metrics)

            async def opened(name: str) -> Backend:
                adapter, connection = ON_WEBSOCKET[name], ON_OFFICIAL_SDK[name]
                usual = await stack.enter_async_context(WebSocketBackend(adapter, remote, settings, metrics, limiter))
                if name not in on_sdk.values():
                    return usual
                other = await stack.enter_async_context(
                    SdkBackend(adapter, connection, remote, settings, metrics, limiter)
                )
                return _ByModel(usual, other, on_sdk)

            yield {name: PreparedBackend(await opened(name), hotwords) for name in ON_WEBSOCKET}


class _ByModel:
    """One backend on two transports; see ``Backend``."""

    def __init__(self, usual: Backend, other: Backend, models: Collection[str]) -> None:
        self._usual = usual
        self._other = other
        self._models = models

    def open(self, config: RecognitionConfig) -> AbstractAsyncContextManager[Upstream]:
        """Return what recognizes one call on the transport that is chosen for the model; see ``Backend``."""
        backend = self._other if config.model.name in self._models else self._usual
        return backend.open(config)


def _placed(model: Model, endpoint: Endpoint) -> Model:
    regions = (endpoint.region,) if endpoint.region else ()
    return replace(model, endpoint=endpoint.name, regions=regions, owned_parameters=owned(dashscope_model(model)))


def _models_on_sdk(settings: DashScopeSettings, served: Catalogue) -> Mapping[str, str]:
    """Return the models that go over the official SDK, with their backends; what is said of a model goes first."""
    models = {model.name: model for model in (*DASHSCOPE_MODELS, *served.models.values())}
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
