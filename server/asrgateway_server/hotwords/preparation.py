"""Turns a call's inline hot words into what its model takes, before its connection opens."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.endpoints import DEFAULT_ENDPOINT
from asrgateway_server.errors import GatewayError, UnsupportedOption
from asrgateway_server.events import Notice, NoticeCode
from asrgateway_server.hotwords.account import account_of
from asrgateway_server.hotwords.content import content_of
from asrgateway_server.hotwords.families import OPTION, Mechanism, family_of
from asrgateway_server.hotwords.leases import Clock, Leases
from asrgateway_server.hotwords.service import CurrentKey, HotwordService
from asrgateway_server.hotwords.tables import Tables
from asrgateway_server.settings import Settings

log = logging.getLogger(__name__)

_FIELD: Final = f"streaming_config.{OPTION}"


class HotwordPreparation:
    """Compiles what must be compiled; for the life of the process.

    Args:
        settings: What the operator allows.
        clock: Seconds since the epoch.
        key: Returns the key to ask with; None: that of the settings.
    """

    def __init__(self, settings: Settings, clock: Clock = time.time, key: CurrentKey | None = None) -> None:
        timeout_seconds = settings.hotword_timeout_seconds
        self._compiles = settings.hotword_tables != "off"
        self._is_failure_fatal = settings.hotword_failures == "fail"
        self._service = HotwordService(account_of(settings), timeout_seconds, key)
        self._tables = Tables(
            self._service,
            recycles=settings.hotword_tables == "recycle",
            age_seconds=settings.hotword_table_age_seconds,
            timeout_seconds=timeout_seconds,
            clock=clock,
        )
        self._phrases = Leases(self._service.compile_phrases, clock)

    async def __aenter__(self) -> Self:
        """Begin; nothing is asked of the vendor before a call needs it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is being compiled."""
        await self._tables.close()
        await self._phrases.close()
        self._service.close()

    @asynccontextmanager
    async def prepared(self, config: RecognitionConfig) -> AsyncIterator[tuple[RecognitionConfig, tuple[Notice, ...]]]:
        """Have a call's hot words compiled for as long as it runs.

        Returns:
            The config as the adapter takes it, and what the caller must know.

        Raises:
            GatewayError: They cannot be, and the operator or the caller insists.
        """
        family = family_of(config.model) if config.adaptation.hotwords else None
        if family is None or family.mechanism not in (Mechanism.TABLE, Mechanism.PHRASES):
            yield config, ()
            return
        notices: tuple[Notice, ...] = ()
        async with AsyncExitStack() as stack:
            try:
                table = await stack.enter_async_context(self._compiled(config, family.mechanism))
            except GatewayError as error:
                if config.is_strict or (self._is_failure_fatal and not isinstance(error, UnsupportedOption)):
                    raise
                log.warning("hot words ignored", extra={"reason": error.message, "upstream_code": error.upstream_code})
                message = f"{error.message}; the call goes on without its hot words"
                notice = Notice(code=NoticeCode.OPTION_IGNORED, field=_FIELD, message=message)
                notices, table = (notice,), config.adaptation.vocabulary_id
            yield _with_table(config, table), notices

    @asynccontextmanager
    async def _compiled(self, config: RecognitionConfig, mechanism: Mechanism) -> AsyncIterator[str]:
        if config.adaptation.vocabulary_id:
            raise UnsupportedOption(
                f"the stored table goes before the hot words of the call: {config.model.name!r} takes one of the two",
                field=_FIELD,
            )
        if not self._compiles:
            raise UnsupportedOption(
                f"this gateway compiles no hot words, as {config.model.name!r} would need; its operator can set "
                "hotword_tables",
                field=_FIELD,
            )
        if config.caller_key or config.model.endpoint not in ("", DEFAULT_ENDPOINT):
            raise UnsupportedOption(
                f"this gateway compiles hot words in its own account at {DEFAULT_ENDPOINT!r}, not where this call goes",
                field=_FIELD,
            )
        content = content_of(config.model.upstream_name, config.adaptation.hotwords)
        leases = self._phrases if mechanism is Mechanism.PHRASES else self._tables
        async with leases.lease(content) as table:
            yield table


def _with_table(config: RecognitionConfig, vocabulary_id: str) -> RecognitionConfig:
    return replace(config, adaptation=replace(config.adaptation, vocabulary_id=vocabulary_id, hotwords=()))
