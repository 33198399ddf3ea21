"""A journal of each task or session, so that a test can check what really arrived."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

_KEPT: Final = 1000
#: What a line shows beside the blocks: nothing that a client said.
_SHOWN: Final = ("connection", "task", "model", "packets", "audio_ms", "silent_bytes", "damaged_bytes", "outcome")


@dataclass(slots=True, kw_only=True)
class Journal:
    """One task of dialect A or one session of dialect B.

    Attributes:
        connection: Number of its connection, from 1, refused handshakes included.
        task: Number of the task in the emulator's life, from 1.
        task_id: The client's id of a task, ours of a session.
        model: As the client names it.
        headers: The handshake's headers without the credential, names in lower case.
        parameters: ``payload.parameters``, or the session in force.
        resources: ``payload.resources``.
        contexts: Each conversation context, in the order received.
        packets: Audio messages received, empty ones included.
        audio_ms: Audio received.
        blocks: Numbers of the marked 10 ms blocks, in the order received (``markers`` only).
        silent_bytes: Zero bytes between marked blocks (``markers`` only).
        damaged_bytes: Other bytes between marked blocks, cut blocks included (``markers`` only).
        outcome: ``running``, then ``finished``, ``failed`` or ``disconnected``.
        ended: Set once there is an outcome.
    """

    connection: int
    task: int
    task_id: str
    model: str
    headers: dict[str, str] = field(default_factory=dict)
    # Whatever JSON the client sent.
    parameters: dict[str, Any] = field(default_factory=dict)
    resources: list[Any] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)
    packets: int = 0
    audio_ms: int = 0
    blocks: list[int] = field(default_factory=list)
    silent_bytes: int = 0
    damaged_bytes: int = 0
    outcome: str = "running"
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)

    def line(self) -> str:
        """Return one JSON line without any content: blocks as runs of ``[first, count]``."""
        shown = {name: getattr(self, name) for name in _SHOWN}
        return json.dumps({**shown, "blocks": runs(self.blocks)})


class Journals:
    """The journals of the last tasks.

    Args:
        path: A file to which each task that ends adds one JSON line; None = none.
    """

    def __init__(self, path: Path | None) -> None:
        self.kept: deque[Journal] = deque(maxlen=_KEPT)
        self._path = path
        self._begun = 0
        self._changed = asyncio.Event()

    def begin(self, connection: int, task_id: str, model: str) -> Journal:
        """Open the journal of a new task."""
        self._begun += 1
        journal = Journal(connection=connection, task=self._begun, task_id=task_id, model=model)
        self.kept.append(journal)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return journal

    async def begun(self, task: int) -> Journal:
        """Wait until the task of that number has begun; return its journal.

        Raises:
            LookupError: Its journal is no longer kept.
        """
        while self._begun < task:
            await self._changed.wait()
        for journal in self.kept:
            if journal.task == task:
                return journal
        raise LookupError(f"the journal of task {task} is no longer kept")

    def end(self, journal: Journal, outcome: str) -> None:
        """Note how the task ended."""
        journal.outcome = outcome
        journal.ended.set()
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(journal.line() + "\n")


def runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Return numbers as runs that count up by one, each as its first number and its length."""
    if not numbers:
        return []
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1), len(numbers)]
    return [(numbers[start], end - start) for start, end in pairwise(starts)]
