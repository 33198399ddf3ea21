"""Ends a running call from outside, with an error of its own."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from asrgateway_server.errors import GatewayError


class EarlyEnd:
    """A context in which a call runs until ``end`` is called; it then cancels the call and raises the error."""

    def __init__(self) -> None:
        self._limit = asyncio.timeout(None)
        self._error: GatewayError | None = None
        self._is_over = False

    def end(self, error: GatewayError) -> bool:
        """End the call; return False if it is over, or ends already."""
        if self._error is not None or self._is_over:
            return False
        self._error = error
        self._limit.reschedule(asyncio.get_running_loop().time())
        return True

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise what the call was ended with, also in place of an error that came of it."""
        self._is_over = True
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as timeout:
            if self._error is None:
                raise
            raise self._error from timeout
        if self._error is not None and self._limit.expired() and isinstance(error, Exception):
            raise self._error from error
