"""The audio of one task or session, from the client's bytes to a recogniser: the part that both dialects share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from dashscope_emulator.audio_input import AudioInput
from dashscope_emulator.journal import Journal
from dashscope_emulator.recognizers.base import Emit, Recognizer, Recognizers, Stream

_LARGE_BYTES: Final = 32 * 1024


class Recognition:
    """Decodes audio, counts it, and feeds it to a recogniser once there is one.

    Args:
        audio_input: Takes the audio out of its container and code.
        sample_rate_hertz: Of the samples that come out: mono, 16-bit little-endian.
        journal: Where packets and audio are noted.
    """

    def __init__(self, audio_input: AudioInput, sample_rate_hertz: int, journal: Journal) -> None:
        self.sample_rate_hertz = sample_rate_hertz
        self.pcm_bytes = 0
        self._input = audio_input
        self._journal = journal
        self._recognizer: Recognizer | None = None
        self._is_closed = False

    @property
    def audio_ms(self) -> int:
        """Audio that has come."""
        return self.pcm_bytes * 1000 // (self.sample_rate_hertz * 2)

    async def open(
        self, recognizers: Recognizers, sentence_silence_ms: int, words: Mapping[str, int], emit: Emit
    ) -> None:
        """Open the recogniser, unless the task ends in the meantime.

        Raises:
            NoRecognizerLeft: All are busy.
            RecognizerFailed: It did not start.
        """
        stream = Stream(
            sample_rate_hertz=self.sample_rate_hertz,
            sentence_silence_ms=sentence_silence_ms,
            journal=self._journal,
            hotwords=words,
        )
        recognizer = await recognizers.open(stream, emit)
        if self._is_closed:
            await recognizer.close()
        else:
            self._recognizer = recognizer

    async def feed(self, data: bytes) -> None:
        """Take an audio message; many bytes are decoded in a thread, so that other connections go on.

        Raises:
            UndecodableAudio: It is not what was declared.
            RecognizerFailed: The recogniser is gone.
        """
        self._journal.packets += 1
        is_large = len(data) >= _LARGE_BYTES
        await self._feed_pcm(await asyncio.to_thread(self._input.feed, data) if is_large else self._input.feed(data))

    async def end_input(self) -> None:
        """Feed what the decoder still holds: no more audio comes."""
        await self._feed_pcm(self._input.end())

    async def commit(self) -> None:
        """End the open sentence."""
        if self._recognizer is not None:
            await self._recognizer.commit()

    async def adapt(self, sentence_silence_ms: int, words: Mapping[str, int]) -> None:
        """Change the silence that ends a sentence, and the words to expect."""
        if self._recognizer is not None:
            await self._recognizer.adapt(sentence_silence_ms, words)

    async def close(self) -> None:
        """Give the recogniser back."""
        self._is_closed = True
        if self._recognizer is not None:
            await self._recognizer.close()

    async def _feed_pcm(self, pcm: bytes) -> None:
        self.pcm_bytes += len(pcm)
        self._journal.audio_ms = self.audio_ms
        if pcm and self._recognizer is not None:
            await self._recognizer.feed(pcm)
