"""The vendor's hot-word services, off the event loop: a few threads, and a time for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asrgateway_server.hotwords.account import Account
from asrgateway_server.hotwords.content import Content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asrgateway_server.hotwords.vendor_sdk import VendorSdk

#: The vendor's code for one table too many.
QUOTA: Final = "Throttling.AllocationQuota"
_THREADS: Final = 4
_T = TypeVar("_T")
#: Returns the key that counts now: a file may change, a token may end.
CurrentKey = Callable[[], Awaitable[str]]


class HotwordService:
    """The calls of ``VendorSdk``, awaited; each raises a GatewayError.

    Args:
        account: Whose tables they are.
        timeout_seconds: How long a request may take.
        key: Returns the key to ask with; None: the account's.
    """

    def __init__(self, account: Account, timeout_seconds: float, key: CurrentKey | None = None) -> None:
        self._account = account
        self._key = key
        self._timeout_seconds = timeout_seconds
        # Its own threads, so that a vendor that hangs holds up nothing else.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hot words")

    def close(self) -> None:
        """Take no more requests."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def create(self, content: Content) -> str:
        """Compile a table; return its id."""
        return await self._ask(lambda sdk: sdk.create(content))

    async def tables(self, prefix: str | None = None) -> list[Mapping[str, object]]:
        """Return all tables of the account, or those of a prefix."""
        return await self._ask(lambda sdk: sdk.tables(prefix))

    async def table(self, vocabulary_id: str) -> Mapping[str, Any]:
        """Return what a table holds."""
        return await self._ask(lambda sdk: sdk.table(vocabulary_id))

    async def delete(self, vocabulary_id: str) -> None:
        """Delete a table."""
        await self._ask(lambda sdk: sdk.delete(vocabulary_id))

    async def compile_phrases(self, content: Content) -> str:
        """Compile a phrase list; return its id."""
        return await self._ask(lambda sdk: sdk.compile_phrases(content))

    async def _ask(self, question: Callable[[VendorSdk], _T]) -> _T:
        account = replace(self._account, key=await self._key()) if self._key else self._account
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: question(self._sdk(account)))

    def _sdk(self, account: Account) -> VendorSdk:
        from asrgateway_server.hotwords.vendor_sdk import VendorSdk  # noqa: PLC0415 on first use, in a thread

        return VendorSdk(account, self._timeout_seconds)
