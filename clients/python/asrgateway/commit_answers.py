"""Which commits have all of their answers: with channel mode SEPARATE every channel gives one."""

from collections import Counter


class CommitAnswers:
    """Counts answers to commits in one call."""

    def __init__(self) -> None:
        self._answers: Counter[int] = Counter()
        self._failed: set[int] = set()

    def add(self, channel: int, commit_count: int) -> None:
        """Count an answer of a channel.

        Args:
            channel: Its number.
            commit_count: How many commits wait for answers. One more than these answers none: the gateway has ended a
                long utterance.
        """
        self._answers[channel] = min(self._answers[channel] + 1, commit_count)

    def fail(self, channel: int) -> None:
        """Note that a channel gives no more answers."""
        self._failed.add(channel)

    def take_complete(self, channel_count: int) -> int:
        """Return how many commits have the answers of all channels that have not failed, and forget these."""
        awaited = set(range(channel_count)) - self._failed
        complete = min((self._answers[channel] for channel in awaited), default=0)
        self._answers.subtract(dict.fromkeys(awaited, complete))
        return complete
