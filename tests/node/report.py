"""What is printed: a line for each step while it runs, and a table of all figures at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """Figures, in the order in which they were measured."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say that a step begins, and how long it took."""
        began = time.monotonic()
        self._say(f"{name} ...")
        yield
        self._say(f"{name}: {time.monotonic() - began:.0f} s")

    def add(self, what: str, figure: str) -> None:
        self.rows.append((what, figure))
        self._say(f"    {what}: {figure}")

    def table(self) -> str:
        """All figures, in Markdown."""
        return "\n".join(["| | |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in self.rows)])

    def _say(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        print(f"{minutes:2}:{seconds:02}  {text}", flush=True)  # noqa: T201 what the command is for
