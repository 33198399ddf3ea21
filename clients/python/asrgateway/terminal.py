"""Standard output for transcripts and standard error for the rest, even if both are the same terminal."""

import io
import time
import unicodedata
from collections.abc import Callable
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_REFRESH_SECONDS: Final = 0.1
_PLAIN_COLUMNS: Final = 200


class Terminal:
    """Writes whole lines, and keeps a live display below them where standard error is a terminal.

    Args:
        out: For transcripts.
        err: For everything else.
        clock: Returns seconds.
    """

    def __init__(self, out: TextIO, err: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._err = err
        self._clock = clock
        self._console = Console(file=err, highlight=False) if err.isatty() else None
        self._live: Live | None = None
        self._drawn_at = 0.0

    @property
    def has_names(self) -> bool:
        """Whether standard output is a terminal, where a person reads names rather than numbers."""
        return self._out.isatty()

    def result(self, text: str, label: str = "") -> None:
        """Write one line to standard output; ``label`` begins it and is written as it is."""
        self._write_line(self._out, text, label)

    def note(self, text: str) -> None:
        """Write one line to standard error."""
        self._write_line(self._err, text)

    def table(self, table: Table) -> None:
        """Write a table to standard error, without colours where that is no terminal."""
        self.live(None)
        if self._console is not None:
            self._console.print(table)
        else:
            for line in plain_lines(table):
                self.note(line)

    def live(self, display: RenderableType | None, *, at_once: bool = True) -> None:
        """Replace the live display, or remove it; only a terminal shows it.

        Args:
            display: What to show; None: nothing.
            at_once: Show it even if the last one was drawn less than 0.1 s ago.
        """
        if self._console is None:
            return
        now = self._clock()
        if display is None:
            self._stop()
            self._live = None
        elif self._live is None:
            self._start(display, self._console)
        elif at_once or now - self._drawn_at >= _REFRESH_SECONDS:
            self._live.update(display, refresh=True)
        else:
            return
        self._drawn_at = now

    def close(self) -> None:
        """Remove the live display."""
        self.live(None)

    def _write_line(self, stream: TextIO, text: str, label: str = "") -> None:
        shown = self._live
        self._stop()
        stream.write(f"{label}{printable(text)}\n")
        stream.flush()
        if shown is not None and self._console is not None:
            self._start(shown.get_renderable(), self._console)

    def _start(self, display: RenderableType, console: Console) -> None:
        # rich would send what goes to standard output to standard error.
        self._live = Live(
            display,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()


class Tail:
    """One line with the end of a text, where the latest words are.

    Args:
        text: Cut at its front until it fits.
        label: Stands before it and is never cut.
    """

    def __init__(self, text: str, label: str = "") -> None:
        self._text = printable(text)
        self._label = label

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = options.max_width - cell_len(self._label)
        yield Text(self._label + cut(self._text, columns), no_wrap=True, overflow="crop")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)


def plain_lines(table: Table) -> list[str]:
    """Return the lines of a table, without colours."""
    text = io.StringIO()
    Console(file=text, width=_PLAIN_COLUMNS, color_system=None).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def cut(text: str, columns: int) -> str:
    """Shorten a text at its front to at most so many columns of a terminal."""
    if cell_len(text) <= columns:
        return text
    kept = columns - 1  # The ellipsis takes one.
    start = len(text)
    while start and kept >= cell_len(text[start - 1]):
        start -= 1
        kept -= cell_len(text[start])
    return "…" + text[start:]


def printable(text: str) -> str:
    """Replace line ends and control characters, which would move the cursor, by blanks."""
    text = " ".join(text.splitlines())
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
