"""Turns a call's inline hot words into what its model takes, before its connection opens."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import GatewayError, UnsupportedOption
from asrgateway_server.events import OptionWarning, WarningCode
from asrgateway_server.vendors.dashscope import sdk_import as sdk
from asrgateway_server.vendors.dashscope.error_codes import for_callers_key
from asrgateway_server.vendors.dashscope.hotwords.account import Access, Account, Reach, account_of
from asrgateway_server.vendors.dashscope.hotwords.content import content_of
from asrgateway_server.vendors.dashscope.hotwords.leases import Clock, Leases
from asrgateway_server.vendors.dashscope.hotwords.service import HotwordService
from asrgateway_server.vendors.dashscope.hotwords.tables import Tables
from asrgateway_server.vendors.dashscope.model import DashScopeModel, HotwordResource, dashscope_model
from asrgateway_server.vendors.dashscope.settings import DashScopeSettings

if TYPE_CHECKING:
    from asrgateway_server.vendors.dashscope.hotwords.vendor_sdk import VendorSdk

log = logging.getLogger(__name__)

_OPTION: Final = "adaptation.hotwords"
_FIELD: Final = f"streaming_config.{_OPTION}"
_THREADS: Final = 4
_MAX_ACCOUNTS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """What one account holds for running calls."""

    tables: Tables
    phrases: Leases

    @property
    def is_idle(self) -> bool:
        return self.tables.is_idle and self.phrases.is_idle


class HotwordPreparation:
    """Compiles what must be compiled; for the life of the process.

    Args:
        settings: What the operator allows.
        reach: Knows how calls reach the vendor.
        clock: Seconds since the epoch.
        look_seconds: How often a table in use is looked at, whether it is time to show that it is.
    """

    def __init__(
        self, settings: DashScopeSettings, reach: Reach, clock: Clock = time.time, *, look_seconds: float = 60.0
    ) -> None:
        self._settings = settings
        self._look_seconds = look_seconds
        self._reach = reach
        self._clock = clock
        self._accounts: dict[Account, _Compiled] = {}
        # Its own threads, so that a vendor that hangs holds up nothing else.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hot words")

    async def __aenter__(self) -> Self:
        """Begin; nothing is asked of the vendor before a call needs it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is being compiled."""
        for compiled in self._accounts.values():
            await compiled.tables.close()
            await compiled.phrases.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def prepared(
        self, config: RecognitionConfig
    ) -> AsyncIterator[tuple[RecognitionConfig, tuple[OptionWarning, ...]]]:
        """Have a call's hot words compiled for as long as it runs.

        Returns:
            The config as the adapter takes it, and what the client must know.

        Raises:
            GatewayError: They cannot be, and the operator or the client insists.
        """
        model = dashscope_model(config.model)
        if not (config.adaptation.hotwords and model.hotword_resource and _OPTION in model.options):
            yield config, ()
            return
        access = self._reach.access(config)
        warnings: tuple[OptionWarning, ...] = ()
        async with AsyncExitStack() as stack:
            try:
                table = await stack.enter_async_context(self._compiled(config, access, model))
            except GatewayError as error:
                is_failure = not isinstance(error, UnsupportedOption)
                if config.is_strict or (is_failure and self._settings.hotword_failures == "fail"):
                    raise (for_callers_key(error) if access.is_callers else error) from None
                log.warning("hot words ignored", extra={"reason": error.message, "upstream_code": error.upstream_code})
                message = f"{error.message}; the call goes on without its hot words"
                warnings = (OptionWarning(code=WarningCode.OPTION_IGNORED, field=_FIELD, message=message),)
                table = config.adaptation.vocabulary_id
            yield _with_table(config, table), warnings

    @asynccontextmanager
    async def _compiled(self, config: RecognitionConfig, access: Access, model: DashScopeModel) -> AsyncIterator[str]:
        if config.adaptation.vocabulary_id:
            raise UnsupportedOption(
                f"the stored table goes before the hot words of the call: {config.model.name!r} takes one of the two",
                field=_FIELD,
            )
        if self._settings.hotword_tables == "off":
            raise UnsupportedOption(
                f"this gateway compiles no hot words, as {config.model.name!r} would need; its operator can set "
                "hotword_tables",
                field=_FIELD,
            )
        content = content_of(model.upstream_name, config.adaptation.hotwords, model.hotwords.languages)
        compiled = self._in_account(account_of(config, access), access)
        leases = compiled.phrases if model.hotword_resource is HotwordResource.PHRASES else compiled.tables
        async with leases.lease(content) as table:
            yield table

    def _in_account(self, account: Account, access: Access) -> _Compiled:
        if account in self._accounts:
            return self._accounts[account]
        if len(self._accounts) >= _MAX_ACCOUNTS:
            idle = [known for known, compiled in self._accounts.items() if compiled.is_idle]
            for known in idle[: len(self._accounts) - _MAX_ACCOUNTS + 1]:
                del self._accounts[known]
        settings = self._settings

        def make_sdk(key: str) -> VendorSdk:
            with sdk.IMPORTING:
                from asrgateway_server.vendors.dashscope.hotwords.vendor_sdk import VendorSdk  # noqa: PLC0415 on first use, in a thread

            return VendorSdk(
                account, key, ca_file=settings.upstream_ca_file, timeout_seconds=settings.hotword_timeout_seconds
            )

        service = HotwordService(make_sdk, access.credential, self._threads)
        tables = Tables(
            service,
            # What lies in a caller's own account is the caller's to delete.
            recycles=settings.hotword_tables == "recycle" and not account.caller,
            age_seconds=settings.hotword_table_age_seconds,
            timeout_seconds=settings.hotword_timeout_seconds,
            clock=self._clock,
            look_seconds=self._look_seconds,
        )
        compiled = _Compiled(tables=tables, phrases=Leases(service.compile_phrases, self._clock))
        self._accounts[account] = compiled
        return compiled


def _with_table(config: RecognitionConfig, vocabulary_id: str) -> RecognitionConfig:
    return replace(config, adaptation=replace(config.adaptation, vocabulary_id=vocabulary_id, hotwords=()))
