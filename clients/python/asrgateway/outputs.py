"""What goes to standard output, in the form that was asked for."""

import json
from collections.abc import Callable, Mapping
from typing import Protocol

from asrgateway.json_lines import to_json
from asrgateway.v1.recognition_pb2 import RecognizeResponse

WriteLine = Callable[[str], None]


class Output(Protocol):
    """Writes one recording's responses as lines."""

    def received(self, response: RecognizeResponse) -> None:
        """Write what the response brings, if anything."""


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
            self._write_line(response.result.transcript)


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
