"""A worker process: one in-process recognizer, one task at a time, until its input ends.

Run as ``python -m asrgateway_server.backends.worker MODULE:CLASS [ARGUMENT ...]``; standard input and output carry
``frames``.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO, Final

from asrgateway_server.backends.adapter import InProcessAdapter
from asrgateway_server.backends.frames import HEADER, Frame, pack
from asrgateway_server.backends.worker_messages import pack_events, unpack_adaptation
from asrgateway_server.events import BackendEvent, Finished

# Decoding may wait for a moment; the process that serves all other clients may not.
NICENESS: Final = 10


def main() -> None:
    """Load the recognizer named by the first argument and answer frames."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which then ends our input.
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What a library prints must not land between two frames.
    module, _, name = sys.argv[1].partition(":")
    adapter: InProcessAdapter = getattr(importlib.import_module(module), name)(*sys.argv[2:])
    answers.write(pack(Frame.LOADED))
    answers.flush()
    try:
        serve(adapter, sys.stdin.buffer, answers)
    except BrokenPipeError:
        os._exit(0)  # The gateway has left; at an ordinary end the buffer would be written once more.


def serve(adapter: InProcessAdapter, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer each frame with one frame, until ``questions`` ends."""
    while len(header := questions.read(HEADER.size)) == HEADER.size:
        kind, length = HEADER.unpack(header)
        events = answer(adapter, Frame(kind), questions.read(length))
        answers.write(pack(Frame.EVENTS, pack_events(events)))
        answers.flush()


def answer(adapter: InProcessAdapter, kind: Frame, payload: bytes) -> Sequence[BackendEvent | Finished]:
    """Return the events that one frame leads to."""
    match kind:
        case Frame.START:
            return adapter.start(unpack_adaptation(payload))
        case Frame.AUDIO:
            return adapter.audio(payload)
        case Frame.COMMIT:
            return adapter.commit()
        case Frame.UPDATE:
            return adapter.update(unpack_adaptation(payload))
        case Frame.FINISH:
            return adapter.finish()
        case _:
            raise ValueError(f"a worker is never sent {kind.name}")


if __name__ == "__main__":
    main()
