"""What a call has sent and no final result covers, and what no call has sent yet."""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from asrgateway.requests import AudioItem, wrong_item
from asrgateway.v1.recognition_pb2 import Commit, ConfigUpdate, SpeechAdaptation

KEPT_SECONDS: Final = 60
"""Audio that was sent longer ago than this much audio cannot be sent again."""

_SAMPLE_BYTES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFormat:
    """LINEAR16 audio.

    Attributes:
        rate_hertz: Samples per second and channel.
        channel_count: Interleaved channels.
    """

    rate_hertz: int
    channel_count: int

    @property
    def frame_bytes(self) -> int:
        """One sample of every channel."""
        return _SAMPLE_BYTES * self.channel_count

    def bytes_at(self, offset_ms: int) -> int:
        """Return how many bytes lie before a time; the gateway counts whole milliseconds."""
        return offset_ms * self.rate_hertz // 1000 * self.frame_bytes

    def ms_at(self, position: int) -> int:
        """Return the first whole millisecond that begins at a position, in bytes, or after it."""
        return -(-position // self.frame_bytes * 1000 // self.rate_hertz)


class KeptItems:
    """Audio, commits and updates in their order; what was sent can be sent again until it is final.

    Args:
        sample_format: Of the audio.
        begin_ms: Where the first audio lies.
        ahead_seconds: How much audio may wait to be sent.

    Attributes:
        adaptation: That of the last update before the first kept audio; None if there was no update.
    """

    def __init__(self, sample_format: SampleFormat, begin_ms: int = 0, ahead_seconds: float = KEPT_SECONDS) -> None:
        self.adaptation: SpeechAdaptation | None = None
        self._format = sample_format
        self._limit_bytes = sample_format.bytes_at(KEPT_SECONDS * 1000)
        self._ahead_bytes = sample_format.bytes_at(round(ahead_seconds * 1000))
        self._begin = sample_format.bytes_at(begin_ms)  # of the first kept audio, in bytes
        self._sent: deque[AudioItem] = deque()
        self._sent_bytes = 0
        self._unsent: deque[AudioItem] = deque()
        self._unsent_bytes = 0

    def add(self, item: AudioItem) -> None:
        """Put an item behind all others.

        Raises:
            TypeError: The item is none of the three kinds.
        """
        self._unsent_bytes += _size(item)
        self._unsent.append(item)

    def take(self) -> AudioItem | None:
        """Return the next item to send, which then counts as sent; None if all are."""
        if not self._unsent:
            return None
        item = self._unsent.popleft()
        self._sent.append(item)
        self._unsent_bytes -= _size(item)
        self._sent_bytes += _size(item)
        if (excess := self._sent_bytes - self._limit_bytes) > 0:
            self.release(self._format.ms_at(self._begin + excess))
        return item

    def take_back(self) -> None:
        """Let the next call send everything again."""
        self._unsent.extendleft(reversed(self._sent))
        self._unsent_bytes += self._sent_bytes
        self._sent.clear()
        self._sent_bytes = 0

    def release(self, offset_ms: int) -> None:
        """Drop sent audio before a time, and the updates before other dropped audio. Commits stay."""
        whole_frames = self._sent_bytes // self._format.frame_bytes * self._format.frame_bytes
        place = min(self._format.bytes_at(offset_ms), self._begin + whole_frames)
        commits = []
        while self._begin < place:
            match item := self._sent.popleft():
                case Commit():
                    commits.append(item)
                case ConfigUpdate():
                    self.adaptation = item.adaptation
                case bytes():
                    self._release_audio(item, place)
        self._sent.extendleft(reversed(commits))

    def answer_commit(self) -> None:
        """Drop the oldest commit that was sent."""
        with suppress(ValueError):
            self._sent.remove(Commit())

    @property
    def sent_commits(self) -> int:
        """How many commits that were sent have no answer."""
        return self._sent.count(Commit())

    @property
    def begin_ms(self) -> int:
        """Where the first kept audio lies."""
        return self._format.ms_at(self._begin)

    @property
    def is_full(self) -> bool:
        """Whether so much audio waits to be sent that no more should be added."""
        return self._unsent_bytes >= self._ahead_bytes

    @property
    def is_all_sent(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._unsent

    def _release_audio(self, item: bytes, place: int) -> None:
        count = min(len(item), place - self._begin)
        self._begin += count
        self._sent_bytes -= count
        if rest := item[count:]:
            self._sent.appendleft(rest)


def _size(item: AudioItem) -> int:
    match item:
        case bytes():
            return len(item)
        case Commit() | ConfigUpdate():
            return 0
        case _:
            raise wrong_item(item)
