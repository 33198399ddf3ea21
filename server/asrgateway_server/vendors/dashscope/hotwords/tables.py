"""Compiled tables: found by their prefix, else made; the least used of ours makes room where the operator wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asrgateway_server.errors import GatewayError, UpstreamRefused, UpstreamUnavailable
from asrgateway_server.vendors.dashscope.error_codes import TABLE_QUOTA
from asrgateway_server.vendors.dashscope.hotwords.content import Content, is_ours, prefix_of
from asrgateway_server.vendors.dashscope.hotwords.leases import Clock, Leases
from asrgateway_server.vendors.dashscope.hotwords.service import GONE, HotwordService

log = logging.getLogger(__name__)

_USABLE: Final = "OK"
_TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
_POLL_SECONDS: Final = 0.5
# Another gateway may take the room that was made.
_ATTEMPTS: Final = 3
# A table in use is marked so often before it is old enough to be deleted. The vendor asks for five minutes between two
# changes of a table.
_MARKS_IN_AN_AGE: Final = 3
_MIN_MARK_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """When a table was last changed: as the vendor writes it, and when that was first seen here."""

    changed: str
    seen_at: float


class Tables:
    """The account's tables.

    Gateways that recycle show each other which tables are in use: while a call has one, it is written anew from time
    to time, with the same words, so that the vendor shows everybody a change.

    Args:
        service: Where they are.
        recycles: Whether old ones may be deleted.
        age_seconds: How old a table must be for that.
        timeout_seconds: How long it may take until a content is compiled.
        clock: Seconds since the epoch.
        look_seconds: How often a table in use is looked at, whether it is time to write it anew.
    """

    def __init__(
        self,
        service: HotwordService,
        *,
        recycles: bool,
        age_seconds: float,
        timeout_seconds: float,
        clock: Clock,
        look_seconds: float,
    ) -> None:
        self._service = service
        self._recycles = recycles
        self._age_seconds = age_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._look_seconds = look_seconds
        self._leases = Leases(self._obtain, clock)
        self._recycling = asyncio.Lock()
        self._states: dict[str, _State] = {}
        self._late: set[str] = set()
        self._markers: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def lease(self, content: Content) -> AsyncIterator[str]:
        """Have a table for the time of a call: its id; see ``Leases.lease``."""
        async with self._leases.lease(content) as vocabulary_id:
            if self._recycles and vocabulary_id not in self._markers:
                # In a task of its own: it is there for all calls that have the table, whichever ends first.
                marker = asyncio.create_task(self._mark(vocabulary_id, content), name="mark hot words as used")
                self._markers[vocabulary_id] = marker
                marker.add_done_callback(self._marked(vocabulary_id))
            yield vocabulary_id

    @property
    def is_idle(self) -> bool:
        """Whether no call has or waits for any."""
        return self._leases.is_idle

    async def close(self) -> None:
        """Give up what is being compiled."""
        markers = tuple(self._markers.values())
        for marker in markers:
            marker.cancel()
        await asyncio.gather(*markers, return_exceptions=True)
        await self._leases.close()

    # Finding and making -----------------------------------------------------------------------------------------

    async def _obtain(self, content: Content) -> str:
        vocabulary_id = ""
        await self._service.get_ready()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                vocabulary_id, is_usable = await self._found(content) or (await self._made(content), False)
                while not is_usable:
                    is_usable = (await self._shown(vocabulary_id)).get("status") == _USABLE
                    if not is_usable:
                        self._verify_not_late(vocabulary_id)
                        await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            if vocabulary_id:
                self._late.add(vocabulary_id)
            raise UpstreamUnavailable(
                f"the vendor did not compile the hot words within {self._timeout_seconds:g} s", retry_after_seconds=1.0
            ) from None
        self._late.discard(vocabulary_id)
        return vocabulary_id

    def _verify_not_late(self, vocabulary_id: str) -> None:
        """Let no call wait for a table that an earlier one has waited for in vain."""
        if vocabulary_id in self._late:
            raise UpstreamUnavailable("the vendor is still compiling the hot words", retry_after_seconds=1.0)

    async def _found(self, content: Content) -> tuple[str, bool] | None:
        """Return the table of a content, and whether it is compiled already; None if there is none."""
        for row in sorted(await self._rows(content.prefix), key=lambda row: row.get("status") != _USABLE):
            vocabulary_id = str(row.get("vocabulary_id"))
            shown = await self._shown(vocabulary_id)
            if content.matches(shown.get("target_model"), shown.get("vocabulary")):
                return vocabulary_id, shown.get("status") == _USABLE
        return None

    async def _rows(self, prefix: str) -> list[Mapping[str, object]]:
        rows = [row for row in await self._service.tables(prefix) if _prefix_of(row) == prefix]
        for row in rows:
            self._note(row)
        return rows

    async def _shown(self, vocabulary_id: str) -> Mapping[str, Any]:  # Any: the vendor's JSON
        """Return what the vendor shows of a table; nothing of one that is not there any more."""
        try:
            return await self._service.table(vocabulary_id)
        except UpstreamRefused as refused:
            if refused.upstream_code in GONE:
                return {}
            raise

    async def _made(self, content: Content) -> str:
        try:
            made = await self._service.create(content)
        except UpstreamRefused as refused:
            if refused.upstream_code != TABLE_QUOTA or not self._recycles:
                raise
            async with self._recycling:
                made = await self._made_in_place_of_another(content, refused)
        log.info("hot-word table made", extra={"table": made, "words": len(content.entries)})
        return made

    # Recycling --------------------------------------------------------------------------------------------------

    async def _made_in_place_of_another(self, content: Content, refused: UpstreamRefused) -> str:
        for victim in self._victims(await self._service.tables())[:_ATTEMPTS]:
            # Another gateway may have taken it into use meanwhile, or deleted it.
            row = await self._row(victim)
            if self._leases.is_used(prefix_of(victim)) or (row and not self._is_old(row)):
                continue
            self._leases.forget(prefix_of(victim))
            if row:
                await self._delete(victim)
            try:
                return await self._service.create(content)
            except UpstreamRefused as error:
                if error.upstream_code != TABLE_QUOTA:
                    raise
        raise refused

    async def _row(self, vocabulary_id: str) -> Mapping[str, object]:
        rows = await self._rows(prefix_of(vocabulary_id))
        return next((row for row in rows if row.get("vocabulary_id") == vocabulary_id), {})

    async def _delete(self, vocabulary_id: str) -> None:
        try:
            await self._service.delete(vocabulary_id)
        except UpstreamRefused as refused:
            if refused.upstream_code not in GONE:
                raise
        log.info("hot-word table deleted", extra={"table": vocabulary_id})

    def _victims(self, rows: list[Mapping[str, object]]) -> list[str]:
        """Return the tables that may be deleted, the least recently used first."""
        there = {str(row.get("vocabulary_id")) for row in rows}
        self._late &= there
        self._states = {vocabulary_id: state for vocabulary_id, state in self._states.items() if vocabulary_id in there}
        ours: list[tuple[float, str]] = []
        for row in rows:
            vocabulary_id, prefix = str(row.get("vocabulary_id")), _prefix_of(row)
            if is_ours(vocabulary_id) and not self._leases.is_used(prefix) and self._is_old(row):
                ours.append((max(self._note(row), self._leases.used_at(prefix)), vocabulary_id))
        return [vocabulary_id for _, vocabulary_id in sorted(ours)]

    def _is_old(self, row: Mapping[str, object]) -> bool:
        return self._clock() - self._note(row) >= self._age_seconds

    def _note(self, row: Mapping[str, object]) -> float:
        """Remember when a table was last changed, as far as is known; return it in seconds since the epoch."""
        vocabulary_id, changed = str(row.get("vocabulary_id")), str(row.get("gmt_modified") or row.get("gmt_create"))
        state = self._states.get(vocabulary_id)
        if state is None or state.changed != changed:
            state = self._states[vocabulary_id] = _State(changed=changed, seen_at=self._clock())
        changed_at = _seconds(changed)
        return state.seen_at if changed_at is None else min(state.seen_at, changed_at)

    # Showing that a table is in use -----------------------------------------------------------------------------

    async def _mark(self, vocabulary_id: str, content: Content) -> None:
        pause_seconds = max(self._age_seconds / _MARKS_IN_AN_AGE, _MIN_MARK_SECONDS)
        marked_at = 0.0
        while self._leases.is_used(content.prefix):
            try:
                row = await self._row(vocabulary_id)
                if row and self._clock() - max(self._note(row), marked_at) >= pause_seconds:
                    await self._service.update(vocabulary_id, content)
                    marked_at = self._clock()
            except GatewayError as error:
                shown = {"table": vocabulary_id, "reason": error.message}
                log.warning("hot-word table not marked as used", extra=shown)
            await asyncio.sleep(self._look_seconds)

    def _marked(self, vocabulary_id: str) -> Callable[[asyncio.Task[None]], None]:
        def marked(marker: asyncio.Task[None]) -> None:
            self._markers.pop(vocabulary_id, None)
            if not marker.cancelled() and (error := marker.exception()):
                log.error("hot-word table marked no longer", extra={"table": vocabulary_id}, exc_info=error)

        return marked


def _prefix_of(row: Mapping[str, object]) -> str:
    return prefix_of(str(row.get("vocabulary_id")))


def _seconds(time: object) -> float | None:
    """Return a time of the vendor's in seconds since the epoch; None if it is written otherwise than we know.

    The vendor's pages name no time zone. Read as UTC, a time of Beijing lies eight hours ahead: a table looks younger
    than it is, and is deleted too late rather than too soon.
    """
    try:
        return datetime.strptime(str(time), _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
