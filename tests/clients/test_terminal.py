"""Transcripts and the live display, on one terminal and apart."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.table import Table

from asrgateway.terminal import Tail, Terminal, cut, printable

#: Text, or one of the sequences that move the cursor or erase.
PART = re.compile(
    r"\x1b\[(?P<count>\d*)(?P<command>[A-Za-z])|\x1b\[\?25[hl]|(?P<text>[^\x1b\r\n]+)|(?P<control>[\r\n])"
)


class Screen(io.StringIO):
    """A terminal that remembers all output."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What a person sees, without empty lines at the end."""
        rows, row, column = [""], 0, 0
        for part in PART.finditer(self.getvalue()):
            if part["text"] is not None:
                rows[row] = rows[row][:column].ljust(column) + part["text"] + rows[row][column + len(part["text"]) :]
                column += len(part["text"])
            elif part["control"] == "\n":
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            elif part["control"] == "\r":
                column = 0
            elif part["command"] == "A":
                row -= int(part["count"] or 1)
            elif part["command"] == "K":
                rows[row] = ""
        return re.sub(r"\n+$", "", "\n".join(line.rstrip() for line in rows)).split("\n")


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def terminal(screen: Screen) -> Terminal:
    """Standard output and standard error are the same terminal."""
    return Terminal(screen, screen)


def test_the_live_line_is_redrawn_in_place(screen: Screen, terminal: Terminal) -> None:
    terminal.live(Tail("hello there", "[1 s] "))
    terminal.live(Tail("hell", "[2 s] "))
    assert screen.lines == ["[2 s] hell"]


def test_a_result_stands_above_the_live_line(screen: Screen, terminal: Terminal) -> None:
    terminal.live(Tail("hello there", "[1 s] "))
    terminal.result("hi")
    assert screen.lines == ["hi", "[1 s] hello there"]


def test_a_note_stands_above_the_live_line(screen: Screen, terminal: Terminal) -> None:
    terminal.live(Tail("hello", "[1 s] "))
    terminal.note("warning: careful")
    assert screen.lines == ["warning: careful", "[1 s] hello"]


def test_closing_takes_the_live_line_away(screen: Screen, terminal: Terminal) -> None:
    terminal.live(Tail("hello", "[1 s] "))
    terminal.close()
    assert screen.lines == [""]


def test_the_live_line_fits_the_terminal_and_keeps_its_label(screen: Screen, terminal: Terminal) -> None:
    terminal.live(Tail("你好" * 50, "[1 s] "))
    assert screen.lines[0].startswith("[1 s] …")
    assert cell_len(screen.lines[0]) <= 80


def test_nothing_is_drawn_where_standard_error_is_no_terminal() -> None:
    out, err = Screen(), io.StringIO()
    terminal = Terminal(out, err)
    terminal.live(Tail("hello", "[1 s] "))
    terminal.result("hi")
    terminal.close()
    assert (out.getvalue(), err.getvalue()) == ("hi\n", "")


def test_a_display_that_may_wait_is_not_drawn_twice_within_a_tenth_of_a_second(screen: Screen) -> None:
    now = [100.0]
    terminal = Terminal(screen, screen, clock=lambda: now[0])
    for seconds, shown in ((0.0, "1"), (0.05, "1"), (0.06, "3")):
        now[0] += seconds
        terminal.live(Tail(str(round((now[0] - 100) * 20) + 1)), at_once=False)
        assert screen.lines == [shown]


def test_a_table_is_plain_where_standard_error_is_no_terminal() -> None:
    err = io.StringIO()
    table = Table(box=None)
    table.add_column("NAME", style="red")
    table.add_row("boy")
    Terminal(Screen(), err).table(table)
    assert [line.strip() for line in err.getvalue().splitlines()] == ["NAME", "boy"]


def test_a_transcript_is_always_one_line(screen: Screen, terminal: Terminal) -> None:
    terminal.result("one\ntwo\x1b[2J")
    assert screen.lines == ["one two [2J"]


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [("hello", 5, "hello"), ("hello", 4, "…llo"), ("你好吗", 5, "…好吗"), ("你好吗", 4, "…吗"), ("你", 1, "…")],
)
def test_cutting_keeps_the_latest_words(text: str, columns: int, shown: str) -> None:
    assert cut(text, columns) == shown


def test_control_characters_become_blanks() -> None:
    assert printable("a\tb\r\nc\x07") == "a b c "
