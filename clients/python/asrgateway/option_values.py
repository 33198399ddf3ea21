"""What stands behind an option of the command line, turned into protobuf JSON.

Each function returns the value, or raises ``ArgumentTypeError`` with a sentence that does not repeat words of the user:
they may be personal.
"""

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,4}")
_ROLE: Final = re.compile(r"(user|assistant)\s*:\s*(.*)", re.IGNORECASE)


def text(value: str) -> str:
    """Return the text itself, which must be UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError("the text is not UTF-8") from None
    return value


def texts(value: str) -> list[str]:
    """Return a list of one text, for options that may be repeated."""
    return [text(value)]


def seconds(value: str) -> str:
    """Read seconds, above 0, as a Duration."""
    return f"{positive_number(value):.9f}s"


def positive_number(value: str) -> float:
    """Read a number above 0."""
    number = _number(value)
    if number is None or number <= 0:
        raise ArgumentTypeError(f"{value!r} is not a number above 0")
    return number


def not_negative(value: str) -> float:
    """Read a number that is 0 or above."""
    number = any_number(value)
    if number < 0:
        raise ArgumentTypeError(f"{value!r} is not a number from 0")
    return number


def any_number(value: str) -> float:
    """Read a number."""
    result = _number(value)
    if result is None:
        raise ArgumentTypeError(f"{value!r} is not a number")
    return result


def positive_integer(value: str) -> int:
    """Read a whole number above 0."""
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ArgumentTypeError(f"{value!r} is not a whole number above 0")
    return int(value)


def one_of(values: Mapping[str, object]) -> Callable[[str], object]:
    """Return a function that reads one of these names."""

    def read(name: str) -> object:
        if name not in values:
            raise ArgumentTypeError(f"{name!r} is not one of {', '.join(values)}")
        return values[name]

    return read


def hotword(value: str) -> list[dict[str, object]]:
    """Read ``TEXT``, ``TEXT=WEIGHT`` or ``TEXT=WEIGHT=LANGUAGE``; the weight may be empty."""
    return [_hotword(value, "")]


def hotwords_of_file(path: str) -> list[dict[str, object]]:
    """Read one hot word per line, as `hotword` does, or with tabs in place of ``=``; ``#`` begins a comment."""
    return [_hotword(line, f"line {number}: ") for number, line in _lines(path) if not line.startswith("#")]


def context_messages(path: str) -> list[dict[str, object]]:
    """Read one message per line: ``user: TEXT`` or ``assistant: TEXT``, oldest first."""
    return [_context_message(line, number) for number, line in _lines(path)]


def json_object(value: str) -> dict[str, object]:
    """Read a JSON object, or with ``@FILE`` the one in a file."""
    source = _content(value[1:]) if value.startswith("@") else value
    try:
        result: object = json.loads(source, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ArgumentTypeError(f"this is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(result, dict):
        raise ArgumentTypeError('this is not a JSON object, such as {"name": 1}')
    return result


def _number(value: str) -> float | None:
    try:
        result = float(value)
    except ValueError:
        return None
    return result if abs(result) < float("inf") else None


def _hotword(value: str, where: str) -> dict[str, object]:
    word, weight, language, *more = (part.strip() for part in re.split(r"[=\t]", text(value) + "=="))
    if not word or any(more) or not (weight == "" or _WHOLE_NUMBER.fullmatch(weight)):
        raise ArgumentTypeError(f"{where}a hot word is TEXT, TEXT=WEIGHT or TEXT=WEIGHT=LANGUAGE, such as Kestrel=5")
    weighted = {"weight": int(weight)} if weight else {}
    return {"text": word, "language_code": language} | weighted


def _context_message(line: str, number: int) -> dict[str, object]:
    found = _ROLE.fullmatch(line)
    if found is None:
        raise ArgumentTypeError(f"line {number} does not begin with 'user:' or 'assistant:'")
    return {"role": f"CONTEXT_ROLE_{found[1].upper()}", "text": found[2]}


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers."""
    lines = enumerate((line.strip() for line in _content(path).splitlines()), start=1)
    return ((number, line) for number, line in lines if line)


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ArgumentTypeError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ArgumentTypeError(f"{path} is not UTF-8 text") from None


def _refuse_constant(name: str) -> object:
    raise ArgumentTypeError(f"{name} is not JSON")
