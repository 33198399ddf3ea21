"""Raw audio from standard input, as it comes."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from typing import BinaryIO, Final

from asrgateway.audio_file import UnusableFile
from asrgateway.pacing import at_speaking_speed
from asrgateway.v1.recognition_pb2 import AudioEncoding, DecodingConfig

DEFAULT_RATE_HERTZ: Final = 16000
_SAMPLE_BYTES: Final = 2
# A live source has recorded while this program started; without this the text would be late by that much for ever.
_PIPE_PACE: Final = 0.8


class StandardInput:
    """LINEAR16 from a pipe or a file, in messages of 100 ms.

    Args:
        file: Opened for reading, without a buffer that holds audio already.
        sample_rate_hertz: Samples per second and channel.
        channel_count: Interleaved channels.

    Raises:
        UnusableFile: It is a terminal.
    """

    seconds: float | None = None

    def __init__(self, file: BinaryIO, *, sample_rate_hertz: int | None, channel_count: int | None) -> None:
        if file.isatty():
            raise UnusableFile(
                "standard input is a terminal: send raw audio to it, "
                "such as with 'arecord -t raw -f S16_LE -r 16000 | asr-client file -'"
            )
        rate = sample_rate_hertz or DEFAULT_RATE_HERTZ
        self.decoding_config = DecodingConfig(
            encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=rate, audio_channel_count=channel_count
        )
        self._file = file
        frame_bytes = _SAMPLE_BYTES * (channel_count or 1)
        self._bytes_per_second = rate * frame_bytes
        self._message_bytes = max(1, rate // 10) * frame_bytes

    def seconds_of(self, sent_bytes: int) -> float:
        """Return how much audio so many bytes hold."""
        return sent_bytes / self._bytes_per_second

    def stream(self, *, is_fast: bool) -> AsyncIterator[bytes]:
        """Yield messages as they come, or a quarter faster than they were spoken; or as fast as they are taken.

        Raises:
            UnusableFile: The audio begins with a WAV header.
        """
        pace = 0.0 if is_fast else _PIPE_PACE if self._is_pipe() else 1.0
        return at_speaking_speed(self._messages(), pace * self._message_bytes / self._bytes_per_second)

    async def _messages(self) -> AsyncIterator[bytes]:
        is_first = True
        async for message in self._from_pipe() if self._is_pipe() else self._from_file():
            if is_first and message[:4] == b"RIFF":
                raise UnusableFile("standard input is a WAV file: name the file in place of '-', or send raw samples")
            is_first = False
            yield message

    def _is_pipe(self) -> bool:
        mode = os.fstat(self._file.fileno()).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

    async def _from_file(self) -> AsyncIterator[bytes]:
        """Read what never blocks for long: a file, or a device such as /dev/zero."""
        while message := self._file.read(self._message_bytes):
            yield message

    async def _from_pipe(self) -> AsyncIterator[bytes]:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._file)
        try:
            while True:
                yield await reader.readexactly(self._message_bytes)
        except asyncio.IncompleteReadError as end:
            if end.partial:
                yield end.partial
        finally:
            transport.close()
