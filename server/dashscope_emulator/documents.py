"""Reading the emulator's YAML and JSON files: every key is known, every value has its type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import yaml

T = TypeVar("T")


def read_document(path: Path) -> object:
    """Read a YAML file; JSON is YAML.

    Raises:
        ValueError: It cannot be read or is neither.
    """
    try:
        document: object = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {error}") from error
    return document


class Fields:
    """The fields of one mapping, each taken once; what is left over is a mistake.

    All methods raise ValueError that says where and what would have been right.
    """

    def __init__(self, value: object, *, where: str) -> None:
        if not isinstance(value, dict):  # a mistake in a file, not in the code: no TypeError
            raise ValueError(f"{where}: expected a mapping, not {type(value).__name__}")  # noqa: TRY004
        self._left: dict[str, object] = {str(key): item for key, item in value.items()}
        self._where = where

    def integer(self, name: str, default: int | None = None) -> int:
        """Take a whole number of at least 0."""
        value = self._take(name, default, int)
        if value < 0:
            raise ValueError(f"{self._where}: {name} must be at least 0, not {value}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Take a number, whole or not."""
        if isinstance(self._left.get(name), int):
            return float(self.integer(name))
        return self._take(name, default, float)

    def text(self, name: str, default: str | None = None) -> str:
        """Take a string."""
        return self._take(name, default, str)

    def flag(self, name: str) -> bool:
        """Take true or false, false by default."""
        return self._take(name, default=False, kind=bool)

    def has(self, name: str) -> bool:
        """Whether it is there and has not been taken."""
        return name in self._left

    def integers(self, name: str) -> tuple[int, ...]:
        """Take one whole number or a list of them, none by default."""
        value = self._left.pop(name, [])
        items = value if isinstance(value, list) else [value]
        if not all(type(item) is int for item in items):
            raise ValueError(f"{self._where}: {name} must be whole numbers, not {value!r}")
        return tuple(items)

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of strings, none by default."""
        items = self._take(name, [], list)
        if not all(isinstance(item, str) for item in items):
            raise ValueError(f"{self._where}: {name} must be strings")
        return tuple(items)

    def records(self, name: str) -> Iterator[Fields]:
        """Take a list of mappings."""
        for i, item in enumerate(self._take(name, None, list), 1):
            yield Fields(item, where=f"{self._where}: {name} {i}")

    def done(self) -> None:
        """Refuse what nobody has taken."""
        if self._left:
            raise ValueError(f"{self._where}: unknown {', '.join(sorted(self._left))}")

    def _take(self, name: str, default: T | None, kind: type[T]) -> T:
        value = self._left.pop(name, default)
        if value is None:
            raise ValueError(f"{self._where}: {name} is missing")
        if type(value) is not kind:
            raise ValueError(f"{self._where}: {name} must be {kind.__name__}, not {value!r}")
        return value
