"""Transcripts and the live line, on one terminal and apart."""

import io

import pytest

from asrgateway.terminal import Terminal, cut, printable, width


class Screen(io.StringIO):
    """A terminal that remembers all output."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What a person sees: a carriage return goes back to the first column, and later text covers earlier."""
        return [self._seen(line) for line in self.getvalue().split("\n")]

    @staticmethod
    def _seen(line: str) -> str:
        seen = ""
        for part in line.replace("\b", "").split("\r"):
            seen = part + seen[len(part) :]
        return seen.rstrip()


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def terminal(screen: Screen) -> Terminal:
    """Standard output and standard error are the same terminal."""
    return Terminal(screen, screen)


def test_the_live_line_is_redrawn_in_place(screen: Screen, terminal: Terminal) -> None:
    terminal.live("[1 s] ", "hello there")
    terminal.live("[2 s] ", "hell")
    assert screen.lines == ["[2 s] hell"]


def test_a_result_stands_above_the_live_line(screen: Screen, terminal: Terminal) -> None:
    terminal.live("[1 s] ", "hello there")
    terminal.result("hi")
    assert screen.lines == ["hi", "[1 s] hello there"]


def test_a_note_stands_above_the_live_line(screen: Screen, terminal: Terminal) -> None:
    terminal.live("[1 s] ", "hello")
    terminal.note("warning: careful")
    assert screen.lines == ["warning: careful", "[1 s] hello"]


def test_closing_takes_the_live_line_away(screen: Screen, terminal: Terminal) -> None:
    terminal.live("[1 s] ", "hello")
    terminal.close()
    assert screen.lines == [""]


def test_the_live_line_fits_the_terminal_and_keeps_its_label(screen: Screen, terminal: Terminal) -> None:
    terminal.live("[1 s] ", "你好" * 50)
    assert screen.lines[0].startswith("[1 s] …")
    assert width(screen.lines[0]) <= 79


def test_nothing_is_drawn_where_standard_error_is_no_terminal() -> None:
    out, err = Screen(), io.StringIO()
    terminal = Terminal(out, err)
    terminal.live("[1 s] ", "hello")
    terminal.result("hi")
    terminal.close()
    assert (out.getvalue(), err.getvalue()) == ("hi\n", "")


def test_a_transcript_is_always_one_line(screen: Screen, terminal: Terminal) -> None:
    terminal.result("one\ntwo\x1b[2J")
    assert screen.lines == ["one two [2J", ""]


@pytest.mark.parametrize(
    ("text", "columns"), [("hello", 5), ("你好", 4), ("e\u0301", 1), ("\uff21", 2), ("\uff71", 1), ("", 0)]
)
def test_width_counts_terminal_columns(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [("hello", 5, "hello"), ("hello", 4, "…llo"), ("你好吗", 5, "…好吗"), ("你好吗", 4, "…吗"), ("你", 1, "…")],
)
def test_cutting_keeps_the_latest_words(text: str, columns: int, shown: str) -> None:
    assert cut(text, columns) == shown


def test_control_characters_become_blanks() -> None:
    assert printable("a\tb\r\nc\x07") == "a b c "
