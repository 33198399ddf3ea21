"""What is printed after several recordings: one line each, and the whole."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from asrgateway.report import Outcome, milliseconds
from asrgateway.terminal import printable

_HEADINGS: Final = ("FILE", "AUDIO", "UTTERANCES", "FIRST PACKAGE", "LAST PACKAGE", "STATUS")


def summary_table(outcomes: Sequence[Outcome]) -> Table:
    """Return a table with a row for each recording."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="right" if 0 < number < len(_HEADINGS) - 1 else "left", no_wrap=True)
    for outcome in outcomes:
        table.add_row(*map(Text, _row(outcome)), style=None if outcome.status == "OK" else "red")
    return table


def summary_line(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return the whole in one line; ``seconds`` is how long it took."""
    failed = sum(outcome.status != "OK" for outcome in outcomes)
    audio = sum(outcome.sent_seconds for outcome in outcomes)
    return f"{len(outcomes)} files, {failed or 'none'} failed: {audio:.1f} s of audio in {seconds:.1f} s"


def _row(outcome: Outcome) -> tuple[str, ...]:
    finished = outcome.finished
    delays = ("first_package_delay", "last_package_delay")
    return (
        printable(outcome.name),
        f"{outcome.sent_seconds:.1f} s",
        str(outcome.finals),
        *("" if finished is None else milliseconds(finished, field) for field in delays),
        outcome.status,
    )
