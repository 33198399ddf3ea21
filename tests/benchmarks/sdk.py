"""The vendor's own SDK, unmodified: `Recognition` objects fed by one clock, in a process of their own.

``python -m benchmarks.sdk --target ws://HOST:PORT --streams N …``.
"""

from __future__ import annotations

import threading
import time
from heapq import heappop, heappush
from typing import Any, Final

import dashscope
from dashscope.audio.asr import Recognition, RecognitionCallback

from benchmarks.bare_client import PATH
from benchmarks.driver import DONE, WINDOW_CLOSED, WINDOW_OPEN, parse_arguments, plan_from, tell
from benchmarks.recorder import Recorder, StreamRecord
from benchmarks.workload import MODEL, PACKET, PACKET_SECONDS, SAMPLE_RATE_HERTZ, TAIL_SECONDS, Plan

# Audio begins a while after `start()`, so that connecting does not count into the first package.
_HEAD_START_SECONDS: Final = 0.5


class _Listener(RecognitionCallback):
    def __init__(self, record: StreamRecord, recorder: Recorder) -> None:
        self._record = record
        self._recorder = recorder

    def on_event(self, result: Any) -> None:  # Any: the SDK's own
        self._record.heard(result.get_sentence()["text"])

    def on_error(self, result: Any) -> None:
        self._recorder.errors.append(str(result.message)[:300])


class _Speaker:
    def __init__(self, recorder: Recorder) -> None:
        self.record = recorder.stream()
        self.recognition = Recognition(
            model=MODEL, format="pcm", sample_rate=SAMPLE_RATE_HERTZ, callback=_Listener(self.record, recorder)
        )


def run(target: str, plan: Plan) -> None:
    """Run the plan."""
    dashscope.api_key = "benchmark"
    dashscope.base_websocket_api_url = target + PATH
    recorder = Recorder()
    speakers = [_Speaker(recorder) for _ in range(plan.streams)]
    begin = time.monotonic() + 0.1
    end = begin + _HEAD_START_SECONDS + plan.ramp_seconds + plan.settle_seconds + plan.window_seconds
    clock = threading.Thread(target=_keep_window, args=(recorder, end - plan.window_seconds, end))
    clock.start()
    _speak(speakers, [begin + opening for opening in plan.openings()], end + TAIL_SECONDS)
    clock.join()
    stopping = [threading.Thread(target=speaker.recognition.stop) for speaker in speakers]
    for thread in stopping:
        thread.start()
    for thread in stopping:
        thread.join()
    tell(DONE, **recorder.outcome().to_json())


def _keep_window(recorder: Recorder, begin: float, end: float) -> None:
    time.sleep(max(0.0, begin - time.monotonic()))
    recorder.is_open = True
    tell(WINDOW_OPEN)
    time.sleep(max(0.0, end - time.monotonic()))
    recorder.is_open = False
    tell(WINDOW_CLOSED)


def _speak(speakers: list[_Speaker], openings: list[float], end: float) -> None:
    """Start every stream, and hand it a packet each 100 ms; one thread, so that little of the CPU is the bench's."""
    agenda = [(opening, number, False) for number, opening in enumerate(openings)]
    while agenda and agenda[0][0] < end:
        due, number, is_speaking = heappop(agenda)
        time.sleep(max(0.0, due - time.monotonic()))
        speaker = speakers[number]
        if is_speaking:
            speaker.recognition.send_audio_frame(PACKET)
            speaker.record.sent()
            heappush(agenda, (due + PACKET_SECONDS, number, True))
        else:
            speaker.recognition.start()
            speaker.record.speak(due + _HEAD_START_SECONDS)
            heappush(agenda, (due + _HEAD_START_SECONDS + PACKET_SECONDS, number, True))


def main() -> None:
    """Run this process."""
    arguments = parse_arguments()
    run(arguments.target, plan_from(arguments))


if __name__ == "__main__":
    main()
