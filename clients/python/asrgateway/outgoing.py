"""The audio of one recognition on its way into its calls."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from asrgateway.requests import AudioItem
from asrgateway.resumption import Resumption
from asrgateway.v1.recognition_pb2 import RecognizeResponse, StreamingConfig


class Outgoing:
    """Reads the program's audio once, and gives each call what it has to send.

    Args:
        resumption: Of this recognition.

    Attributes:
        error: The error that the audio raised.
    """

    def __init__(self, resumption: Resumption) -> None:
        self._resumption = resumption
        self.error: BaseException | None = None
        self._has_ended = False
        self._is_changed = asyncio.Event()
        self._has_room = asyncio.Event()

    async def read(self, audio: AsyncIterable[AudioItem] | Iterable[AudioItem]) -> None:
        """Read the program's audio to its end, only so far ahead of what is sent; keep the error it raises."""
        try:
            async for item in _each(audio):
                self._resumption.add(item)
                self._is_changed.set()
                await self._wait_for_room()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._resumption.end()
            self._has_ended = True
            self._is_changed.set()

    async def begin_call(self) -> StreamingConfig:
        """Return the config of the next call, as soon as it is known.

        Raises:
            Exception: The error that the audio raised before.
        """
        while not self._resumption.is_ready:
            await self._change()
        return self._resumption.begin_call()

    def __aiter__(self) -> AsyncIterator[AudioItem]:
        return self

    async def __anext__(self) -> AudioItem:
        """Return the next item of the present call.

        Raises:
            Exception: The error that the audio raised.
        """
        while (item := self._resumption.take()) is None:
            if self.error is not None:
                raise self.error
            if self._has_ended:
                raise StopAsyncIteration
            await self._change()
        self._has_room.set()
        return item

    @property
    def can_resume(self) -> bool:
        """Whether another call can continue the present one."""
        return self._resumption.can_resume

    @property
    def can_leave(self) -> bool:
        """Whether the present call may be left for another one: one that has everything ends by itself in time."""
        return self._resumption.can_leave

    def received(self, response: RecognizeResponse) -> None:
        """Let go of what a response makes final."""
        self._resumption.received(response)

    async def pause(self, seconds: float) -> None:
        """Wait between two calls.

        Raises:
            Exception: The error that the audio raised.
        """
        try:
            async with asyncio.timeout(seconds):
                while self.error is None:
                    await self._change()
        except TimeoutError:
            return
        raise self.error

    async def _change(self) -> None:
        self._is_changed.clear()
        await self._is_changed.wait()

    async def _wait_for_room(self) -> None:
        while self._resumption.is_full:
            self._has_room.clear()
            await self._has_room.wait()


async def _each(audio: AsyncIterable[AudioItem] | Iterable[AudioItem]) -> AsyncIterator[AudioItem]:
    """Iterate either kind; a plain iterable lets others run after each item."""
    if isinstance(audio, AsyncIterable):
        async for item in audio:
            yield item
    else:
        for item in audio:
            yield item
            await asyncio.sleep(0)
