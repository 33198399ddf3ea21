"""Results as lines, in the format that was asked for."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Protocol

from asrgateway.captions import VTT_HEADER, Caption, Captions, srt, vtt
from asrgateway.json_lines import to_json
from asrgateway.v1.recognition_pb2 import RecognitionResult, RecognizeResponse

WriteLine = Callable[[str], None]


class Output(Protocol):
    """Writes one recording's responses as lines."""

    def received(self, response: RecognizeResponse) -> None:
        """Write what the response brings, if anything."""


def _channel(result: RecognitionResult) -> str:
    """Return what stands before the text of one of several channels."""
    return f"[{result.channel}] " if result.HasField("channel") else ""


class _ChannelCaptions:
    """Captions of a recording; those of several channels may overlap in time, and begin with the channel's number."""

    def __init__(self) -> None:
        self._captions: defaultdict[int, Captions] = defaultdict(Captions)

    def of(self, response: RecognizeResponse) -> list[Caption]:
        """Return the captions of a final result."""
        result, cursor = response.result, response.cursor
        prefix = _channel(result)
        finalized = cursor.channel_finalized[result.channel] if prefix else cursor.finalized
        captions = self._captions[result.channel].of(result, finalized.ToMilliseconds())
        return [replace(one, lines=(f"{prefix}{one.lines[0]}", *one.lines[1:])) for one in captions]


class TextOutput:
    """One line per final result.

    Args:
        write_line: Takes the lines.
    """

    def __init__(self, write_line: WriteLine) -> None:
        self._write_line = write_line

    def received(self, response: RecognizeResponse) -> None:
        """Write the transcript of a final result."""
        if response.result.is_final:
            self._write_line(f"{_channel(response.result)}{response.result.transcript}")


class JsonOutput:
    """One line per response, in protobuf JSON.

    Args:
        write_line: Takes the lines.
        more: Stands before the response's own fields.
    """

    def __init__(self, write_line: WriteLine, more: Mapping[str, object]) -> None:
        self._write_line = write_line
        self._more = json.dumps(dict(more), ensure_ascii=False)[:-1] if more else ""

    def received(self, response: RecognizeResponse) -> None:
        """Write the response."""
        line = to_json(response)
        if self._more:
            line = f"{self._more}, {line[1:]}" if line != "{}" else f"{self._more}}}"
        self._write_line(line)


class SrtOutput:
    """SubRip captions.

    Args:
        write_line: Takes the lines.
    """

    def __init__(self, write_line: WriteLine) -> None:
        self._write_line = write_line
        self._captions = _ChannelCaptions()
        self._count = 0

    def received(self, response: RecognizeResponse) -> None:
        """Write the captions of a final result."""
        if response.result.is_final:
            for caption in self._captions.of(response):
                self._count += 1
                for line in srt(self._count, caption):
                    self._write_line(line)


class VttOutput:
    """WebVTT captions; the header comes with the first response.

    Args:
        write_line: Takes the lines.
    """

    def __init__(self, write_line: WriteLine) -> None:
        self._write_line = write_line
        self._captions = _ChannelCaptions()
        self._has_header = False

    def received(self, response: RecognizeResponse) -> None:
        """Write the captions of a final result."""
        if not self._has_header:
            self._has_header = True
            self._write_lines(VTT_HEADER)
        if response.result.is_final:
            for caption in self._captions.of(response):
                self._write_lines(vtt(caption))

    def _write_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._write_line(line)


CAPTION_FORMATS: Final[dict[str, Callable[[WriteLine], Output]]] = {"srt": SrtOutput, "vtt": VttOutput}
"""Files of their own, with times, which lines of several recordings cannot share."""


def open_output(kind: str, write_line: WriteLine, more: Mapping[str, object] = MappingProxyType({})) -> Output:
    """Return the output of this format.

    Args:
        kind: One of ``FORMATS``.
        write_line: Takes the lines.
        more: Stands in JSON before the fields of each response.
    """
    if kind == "json":
        return JsonOutput(write_line, more)
    return (CAPTION_FORMATS | {"txt": TextOutput})[kind](write_line)


FORMATS: Final = ("txt", "json", *CAPTION_FORMATS)
