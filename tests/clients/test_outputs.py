"""What is written for each result."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from asrgateway import Cursor, RecognitionResult, RecognizeResponse
from asrgateway.outputs import open_output


def final(text: str, start_ms: int, end_ms: int, channel: int | None = None) -> RecognizeResponse:
    result = RecognitionResult(is_final=True, transcript=text, channel=channel)
    result.start_offset.FromMilliseconds(start_ms)
    result.end_offset.FromMilliseconds(end_ms)
    return RecognizeResponse(result=result, cursor=Cursor(channel_finalized=[Duration(), Duration()]))


def written(kind: str, *responses: RecognizeResponse) -> list[str]:
    lines: list[str] = []
    output = open_output(kind, lines.append)
    for response in responses:
        output.received(response)
    return lines


def test_a_line_is_the_text_of_an_utterance() -> None:
    assert written("txt", final("good morning", 0, 500)) == ["good morning"]


def test_the_line_of_a_channel_begins_with_its_number() -> None:
    assert written("txt", final("good", 0, 500, 0), final("morning", 0, 500, 1)) == ["[0] good", "[1] morning"]


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_captions_of_two_channels_may_be_on_the_screen_at_a_time(kind: str) -> None:
    lines = written(kind, final("good", 0, 2_000, 0), final("morning", 1_000, 3_000, 1))
    assert [line for line in lines if line.startswith("[")] == ["[0] good", "[1] morning"]
    assert [line.replace(",", ".") for line in lines if "-->" in line] == [
        "00:00:00.000 --> 00:00:02.000",
        "00:00:01.000 --> 00:00:03.000",
    ]
