"""The vendor's hot-word services, off the event loop: a few threads, and a time for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asrgateway_server.backends.credential import Credential, with_key
from asrgateway_server.errors import UpstreamRefused
from asrgateway_server.vendors.dashscope.hotwords.content import Content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asrgateway_server.vendors.dashscope.hotwords.vendor_sdk import VendorSdk

#: The vendor's codes for a table that is not there.
GONE: Final = frozenset(("BadRequest.ResourceNotExist", "NotFound", "HTTP 404"))
_KEY_REJECTED: Final = frozenset(("InvalidApiKey", "HTTP 401", "HTTP 403"))
_T = TypeVar("_T")


class HotwordService:
    """The calls of ``VendorSdk``, awaited; each raises a GatewayError.

    Args:
        make_sdk: Returns what reaches the account with a key; called in a thread.
        credential: Whose key.
        threads: Where the calls block.
    """

    def __init__(self, make_sdk: Callable[[str], VendorSdk], credential: Credential, threads: Executor) -> None:
        self._make_sdk = make_sdk
        self._credential = credential
        self._threads = threads

    async def get_ready(self) -> None:
        """Import what the first request would import: on a busy machine that takes longer than the vendor."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._make_sdk, "")

    async def create(self, content: Content) -> str:
        """Compile a table; return its id."""
        return await self._ask(lambda sdk: sdk.create(content))

    async def update(self, vocabulary_id: str, content: Content) -> None:
        """Replace what a table holds."""
        await self._ask(lambda sdk: sdk.update(vocabulary_id, content))

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
        return await with_key(self._credential, lambda key: self._answer(key, question), _is_key_rejected)

    async def _answer(self, key: str, question: Callable[[VendorSdk], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: question(self._make_sdk(key)))


def _is_key_rejected(refused: UpstreamRefused) -> bool:
    return refused.upstream_code in _KEY_REJECTED
