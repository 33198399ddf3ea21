"""A bar for each recording that is being sent, with the text so far beside it."""

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column

from asrgateway.terminal import Tail, Terminal, printable


class ProgressBars:
    """The bars of all recordings that are being sent.

    Args:
        terminal: Where they are shown.
        count: How many recordings there are in all; with more than one, a last line counts them.
    """

    def __init__(self, terminal: Terminal, count: int) -> None:
        self._terminal = terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=24)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[sent]}", markup=False, table_column=Column(no_wrap=True)),
            _InterimColumn(table_column=Column(ratio=1, no_wrap=True)),
            auto_refresh=False,
            expand=True,
        )
        self._count = count
        self._all: TaskID | None = None
        if count > 1:
            self._all = self._progress.add_task("all", total=count, sent=f"0 of {count}", interim="")

    def begin(self, name: str, seconds: float | None) -> "Bar":
        """Add the bar of one recording; ``seconds`` is its length, None: nobody knows."""
        task = self._progress.add_task(printable(name), total=seconds, sent="", interim="")
        bar = Bar(self, self._progress, task, seconds)
        bar.sent(0)
        return bar

    def end(self, task: TaskID) -> None:
        """Remove the bar of a recording that is done."""
        self._progress.remove_task(task)
        if self._all is not None:
            self._progress.advance(self._all)
            done = self._progress.tasks[0].completed
            self._progress.update(self._all, sent=f"{done:.0f} of {self._count}")
        self.show()

    def show(self, *, at_once: bool = True) -> None:
        """Draw all bars."""
        self._terminal.live(self._progress.get_renderable(), at_once=at_once)


class Bar:
    """The bar of one recording; `ProgressBars.begin` makes it."""

    def __init__(self, bars: ProgressBars, progress: Progress, task: TaskID, seconds: float | None) -> None:
        self._bars = bars
        self._progress = progress
        self._task = task
        self._of = "" if seconds is None else f" of {seconds:.1f}"

    def sent(self, seconds: float) -> None:
        """Show how much audio was sent."""
        self._progress.update(self._task, completed=seconds, sent=f"{seconds:.1f}{self._of} s")
        self._bars.show(at_once=False)

    def interim(self, text: str) -> None:
        """Show the text so far of the open utterance."""
        self._progress.update(self._task, interim=text)
        self._bars.show()

    def end(self) -> None:
        """Remove the bar."""
        self._bars.end(self._task)


class _InterimColumn(ProgressColumn):
    def render(self, task: Task) -> Tail:
        return Tail(task.fields["interim"])
