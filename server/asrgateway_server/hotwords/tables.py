"""Compiled tables: found by their prefix, else made; the least used of ours makes room where the operator wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final

from asrgateway_server.errors import UpstreamRefused, UpstreamUnavailable
from asrgateway_server.hotwords.content import Content, is_ours, prefix_of
from asrgateway_server.hotwords.leases import Clock, Leases
from asrgateway_server.hotwords.service import QUOTA, HotwordService

log = logging.getLogger(__name__)

_USABLE: Final = "OK"
_TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
_POLL_SECONDS: Final = 0.5
# Another gateway may take the room that was made.
_ATTEMPTS: Final = 3


class Tables:
    """The account's tables.

    Args:
        service: Where they are.
        recycles: Whether old ones may be deleted.
        age_seconds: How old a table must be for that.
        timeout_seconds: How long it may take until a content is compiled.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        service: HotwordService,
        *,
        recycles: bool,
        age_seconds: float,
        timeout_seconds: float,
        clock: Clock,
    ) -> None:
        self._service = service
        self._recycles = recycles
        self._age_seconds = age_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._leases = Leases(self._obtain, clock)
        self._recycling = asyncio.Lock()
        self._first_seen: dict[str, float] = {}

    def lease(self, content: Content) -> AbstractAsyncContextManager[str]:
        """Have a table for the time of a call: its id; see ``Leases.lease``."""
        return self._leases.lease(content)

    @property
    def is_idle(self) -> bool:
        """Whether no call has or waits for any."""
        return self._leases.is_idle

    async def close(self) -> None:
        """Give up what is being compiled."""
        await self._leases.close()

    async def _obtain(self, content: Content) -> str:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                vocabulary_id = await self._found(content) or await self._made(content)
                while not await self._is_usable(vocabulary_id, content):  # noqa: ASYNC110 the vendor signals nobody
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise UpstreamUnavailable(
                f"the vendor did not compile the hot words within {self._timeout_seconds:g} s", retry_after_seconds=1.0
            ) from None
        self._first_seen.setdefault(vocabulary_id, self._clock())
        return vocabulary_id

    async def _found(self, content: Content) -> str | None:
        for row in await self._service.tables(content.prefix):
            vocabulary_id = str(row.get("vocabulary_id"))
            is_candidate = prefix_of(vocabulary_id) == content.prefix and row.get("status") == _USABLE
            if is_candidate and await self._is_usable(vocabulary_id, content):
                return vocabulary_id
        return None

    async def _is_usable(self, vocabulary_id: str, content: Content) -> bool:
        shown = await self._service.table(vocabulary_id)
        is_same = content.matches(shown.get("target_model"), shown.get("vocabulary"))
        return is_same and shown.get("status") == _USABLE

    async def _made(self, content: Content) -> str:
        try:
            made = await self._service.create(content)
        except UpstreamRefused as refused:
            if refused.upstream_code != QUOTA or not self._recycles:
                raise
            async with self._recycling:
                made = await self._made_in_place_of_another(content, refused)
        log.info("hot-word table made", extra={"table": made, "words": len(content.entries)})
        return made

    async def _made_in_place_of_another(self, content: Content, refused: UpstreamRefused) -> str:
        for victim in self._victims(await self._service.tables())[:_ATTEMPTS]:
            if self._leases.is_used(prefix_of(victim)):
                continue
            self._leases.forget(prefix_of(victim))
            await self._service.delete(victim)
            log.info("hot-word table deleted", extra={"table": victim})
            try:
                return await self._service.create(content)
            except UpstreamRefused as error:
                if error.upstream_code != QUOTA:
                    raise
        raise refused

    def _victims(self, rows: list[Mapping[str, object]]) -> list[str]:
        """Return the tables that may be deleted, the least recently used first."""
        now = self._clock()
        ours: list[tuple[float, str]] = []
        for row in rows:
            vocabulary_id = str(row.get("vocabulary_id"))
            prefix = prefix_of(vocabulary_id)
            if not is_ours(vocabulary_id) or self._leases.is_used(prefix):
                continue
            changed = _seconds(row.get("gmt_modified") or row.get("gmt_create"))
            since = min(self._first_seen.setdefault(vocabulary_id, now), now if changed is None else changed)
            if now - since >= self._age_seconds:
                ours.append((max(since, self._leases.used_at(prefix)), vocabulary_id))
        return [vocabulary_id for _, vocabulary_id in sorted(ours)]


def _seconds(time: object) -> float | None:
    """Return a time of the vendor's in seconds since the epoch; None if it is written otherwise than we know.

    The vendor's pages name no time zone. Read as UTC, a time of Beijing lies eight hours ahead: a table looks younger
    than it is, and is deleted too late rather than too soon.
    """
    try:
        return datetime.strptime(str(time), _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
