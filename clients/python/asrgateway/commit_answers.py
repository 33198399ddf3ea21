"""Which commits have all of their answers: with channel mode SEPARATE every channel gives one."""

from collections import Counter


class CommitAnswers:
    """Counts answers to commits in one call."""

    def __init__(self) -> None:
        self._answers: Counter[int] = Counter()
        self._failed: set[int] = set()

    def is_answered_by(self, channel: int, channel_count: int) -> bool:
        """Count an answer of a channel; return whether the oldest commit now has the answers of all channels."""
        self._answers[channel] += 1
        return self._is_complete(channel_count)

    def is_answered_without(self, channel: int, channel_count: int) -> bool:
        """Note that a channel has failed and gives no answers; return the same."""
        self._failed.add(channel)
        return self._is_complete(channel_count)

    def _is_complete(self, channel_count: int) -> bool:
        awaited = set(range(channel_count)) - self._failed
        if not awaited or any(not self._answers[channel] for channel in awaited):
            return False
        self._answers.subtract(awaited)
        return True
