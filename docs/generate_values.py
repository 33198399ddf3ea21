"""Write the table of values in the chart's README from values.yaml, or check that it is fresh.

A comment that begins with ``# --`` documents the key below it. Run by `make docs` and `make check`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

CHART: Final = Path(__file__).resolve().parents[1] / "helm" / "asr-gateway"
VALUES: Final = CHART / "values.yaml"
PAGE: Final = CHART / "README.md"
BEGIN: Final = "<!-- values: written by `make docs` -->\n"
END: Final = "<!-- end of values -->\n"
HEAD: Final = "| Value | Default | Meaning |\n|---|---|---|\n"


def page() -> str:
    """Return the whole page with a new table."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{PAGE.name} has lost the marks around its table")
    return f"{before}{BEGIN}\n{HEAD}{''.join(rows())}\n{END}{after}"


def rows() -> Iterator[str]:
    """Yield a row for each documented key."""
    for path, default, meaning in documented():
        cell = "" if default is None else f"`{default}`"
        yield f"| `{path}` | {cell} | {meaning.replace('|', chr(92) + '|')} |\n"


def documented() -> Iterator[tuple[str, str | None, str]]:
    """Yield path, default and meaning of each documented key; the default of a group is None."""
    text = VALUES.read_text(encoding="utf-8")
    root = yaml.compose(text)
    if isinstance(root, yaml.MappingNode):
        yield from _documented(root, "", text.splitlines())


def _documented(group: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[tuple[str, str | None, str]]:
    for key, value in group.value:
        meaning = _comment_above(lines, key.start_mark.line)
        if meaning is None:
            continue
        path = prefix + key.value
        members = list(_documented(value, f"{path}.", lines)) if isinstance(value, yaml.MappingNode) else []
        yield path, None if members else json.dumps(yaml.safe_load(yaml.serialize(value))), meaning
        yield from members


def _comment_above(lines: list[str], line: int) -> str | None:
    above = lines[line - 1].strip() if line else ""
    return above.removeprefix("# -- ") if above.startswith("# -- ") else None


def main() -> None:
    """Write the page, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is not fresh")
    fresh = page()
    if not parser.parse_args().check:
        PAGE.write_text(fresh, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != fresh:
        sys.exit(f"not fresh, run `make docs`: {PAGE.relative_to(CHART.parents[1])}")


if __name__ == "__main__":
    main()
