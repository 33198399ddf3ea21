"""What gateway and worker send each other: frames of a kind, a length and a payload, on two pipes."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

# Kind, then length of the payload in bytes, big-endian.
HEADER: Final = struct.Struct(">BI")
#: What a worker may answer at once: far more than any result takes.
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


class Frame(IntEnum):
    """What a frame means. From the worker: the fifth and sixth, of up to ``MAX_ANSWER_BYTES``. To it: the others."""

    START = 1
    """Begin a task, whatever became of the last one; its adaptation. Answered by EVENTS."""
    AUDIO = 2
    """PCM at the model's rate. Answered by EVENTS, be there any or none."""
    COMMIT = 3
    """End the open utterance. Answered by EVENTS."""
    FINISH = 4
    """End of the audio. Answered by EVENTS, the last of which is Finished."""
    EVENTS = 5
    """A list of events: the answer to one frame."""
    LOADED = 6
    """The recognizer is loaded; sent once, before anything else."""
    UPDATE = 7
    """Replace the adaptation. Answered by EVENTS."""


def pack(kind: Frame, payload: bytes = b"") -> bytes:
    """Return the frame as bytes."""
    return HEADER.pack(kind, len(payload)) + payload
