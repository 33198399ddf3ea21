"""Standard output for transcripts and standard error for the rest, even if both are the same terminal."""

import os
import unicodedata
from typing import Final, TextIO

_DEFAULT_COLUMNS: Final = 80


class Terminal:
    """Writes whole lines, and keeps one live line below them where standard error is a terminal.

    Args:
        out: For transcripts.
        err: For everything else.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._has_live_line = err.isatty()
        self._live = ""

    def result(self, text: str) -> None:
        """Write one line to standard output."""
        self._write_line(self._out, text)

    def note(self, text: str) -> None:
        """Write one line to standard error."""
        self._write_line(self._err, text)

    def live(self, label: str, text: str) -> None:
        """Replace the live line by a label and as much text as fits; only a terminal shows it."""
        if self._has_live_line:
            # The last column stays empty: some terminals begin a new line after it.
            columns = _columns(self._err) - 1 - width(label)
            self._show(label + cut(printable(text), columns))

    def close(self) -> None:
        """Remove the live line."""
        self._show("")

    def _write_line(self, stream: TextIO, text: str) -> None:
        live = self._live
        self._show("")
        stream.write(printable(text) + "\n")
        stream.flush()
        self._show(live)

    def _show(self, text: str) -> None:
        if text == self._live:
            return
        # Blanks overwrite the rest of a longer line, on any terminal.
        blanks = " " * max(0, width(self._live) - width(text))
        self._err.write(f"\r{text}{blanks}" + ("\r" if not text else "\b" * len(blanks)))
        self._err.flush()
        self._live = text


def width(text: str) -> int:
    """Count the terminal columns of a text: two for wide characters, none for combining ones."""
    return sum(_character_width(character) for character in text)


def cut(text: str, columns: int) -> str:
    """Shorten a text at its front, where the oldest words are, to at most so many columns."""
    if width(text) <= columns:
        return text
    kept = columns - 1  # The ellipsis takes one.
    start = len(text)
    while start and kept >= _character_width(text[start - 1]):
        start -= 1
        kept -= _character_width(text[start])
    return "…" + text[start:]


def printable(text: str) -> str:
    """Replace line ends and control characters, which would move the cursor, by blanks."""
    text = " ".join(text.splitlines())
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_COLUMNS
    except (OSError, ValueError):
        return _DEFAULT_COLUMNS
