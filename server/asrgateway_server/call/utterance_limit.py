"""How long an utterance may last before the gateway ends it. Pure."""

from __future__ import annotations

from typing import Final

_SHORTEST_MS: Final = 1_000.0
# The first task that is lost may be chance; then the next ones come as far as the speaker lets them.
_LOSSES_IN_A_ROW: Final = 2


class UtteranceLimit:
    """Shortens utterances where one task after the other is lost before it gives a final result.

    Speech without a pause has no final result before the limit. Where tasks do not live so long, each would recognize
    the same words again. So an utterance may take half of the audio that such a task received, a quarter after one more
    loss, as the upstream may have been behind with it, and so on; and twice as much again after each answer.

    Attributes:
        ms: The limit, in ms.

    Args:
        max_ms: The limit where no task is lost.
    """

    def __init__(self, max_ms: float) -> None:
        self.ms = max_ms
        self._max_ms = max_ms
        self._lost = 0

    @property
    def is_shortened(self) -> bool:
        """Whether it is shorter than without losses."""
        return self.ms < self._max_ms

    def task_lost(self, task_ms: int) -> None:
        """Note that a task was lost.

        Args:
            task_ms: How much audio it had received; 0 says nothing about the limit.
        """
        if not task_ms:
            return
        self._lost += 1
        if self._lost >= _LOSSES_IN_A_ROW:
            self.ms = min(self.ms, max(_SHORTEST_MS, min(self.ms, task_ms) / 2 ** (self._lost - 1)))

    def answered(self) -> None:
        """Note a final result, or the answer to a commit that nothing was said: the next one may come later."""
        self._lost = 0
        self.ms = min(2 * self.ms, self._max_ms)
