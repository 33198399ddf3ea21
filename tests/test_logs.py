from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from asrgateway_server import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes during the test."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers.clear()
    stream = io.StringIO()
    logs.configure("INFO", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def call_fields() -> Iterator[dict[str, Any]]:
    """The fields of a running call."""
    fields: dict[str, Any] = {"method": "Recognize"}
    token = logs.call_fields.set(fields)
    yield fields
    logs.call_fields.reset(token)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    logging.getLogger("some.module").info("call started")
    (line,) = lines(stream)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.tzinfo is not None
    assert line == {"level": "INFO", "logger": "some.module", "message": "call started"}


def test_extra_values_are_fields_of_their_own(stream: io.StringIO) -> None:
    logging.getLogger("some").info("call finished", extra={"grpc_code": "OK", "seconds": 12.4})
    (line,) = lines(stream)
    assert (line["grpc_code"], line["seconds"]) == ("OK", 12.4)


def test_every_record_is_a_line_however_many_it_holds(stream: io.StringIO) -> None:
    logging.getLogger("some").info("one\ntwo\r\nthree", extra={"field": "four\nfive"})
    (line,) = lines(stream)
    assert (line["message"], line["field"]) == ("one\ntwo\r\nthree", "four\nfive")


def test_an_exception_is_a_field(stream: io.StringIO) -> None:
    logging.getLogger("some").error("call failed", exc_info=ValueError("a bug"))
    (line,) = lines(stream)
    assert line["exception"] == "ValueError: a bug"


def test_fields_without_a_value_are_left_out(stream: io.StringIO) -> None:
    logging.getLogger("some").info("call finished", extra={"reason": "", "seconds": 0})
    (line,) = lines(stream)
    assert "reason" not in line
    assert line["seconds"] == 0


def test_what_json_does_not_know_is_written_as_text(stream: io.StringIO) -> None:
    logging.getLogger("some").info("listening", extra={"address": ValueError("odd")})
    assert lines(stream)[0]["address"] == "odd"


def test_letters_stay_readable(stream: io.StringIO) -> None:
    logging.getLogger("some").info("call started", extra={"request_id": "你好"})
    assert "你好" in stream.getvalue()


def test_every_line_of_a_call_bears_its_fields(stream: io.StringIO, call_fields: dict[str, Any]) -> None:
    assert call_fields == {"method": "Recognize"}
    logging.getLogger("some").info("call started")
    logs.add_to_call(call_id="c1", request_id="")
    logging.getLogger("another").info("call finished")
    first, second = lines(stream)
    assert (first["method"], "call_id" in first) == ("Recognize", False)
    assert (second["method"], second["call_id"], "request_id" in second) == ("Recognize", "c1", False)


def test_outside_a_call_there_is_nothing_to_add_to(stream: io.StringIO) -> None:
    logs.add_to_call(call_id="c1")
    logging.getLogger("some").info("listening")
    assert "call_id" not in lines(stream)[0]


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    logging.getLogger("some").debug("message sent")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", ["aiohttp.access", "asyncio"])
def test_libraries_that_talk_at_each_request_are_quiet(stream: io.StringIO, name: str) -> None:
    logging.getLogger(name).info("GET /metrics")
    assert stream.getvalue() == ""


def test_callers_that_left_before_their_answer_are_no_news_of_grpc(stream: io.StringIO) -> None:
    log = logging.getLogger("grpc._cython.cygrpc")
    log.error("%s raised in core by servicer method [%s]", "ExecuteBatchError", "/service/method")
    log.error("Unexpected [%s] raised by servicer method [%s]", "ValueError", "/service/method")
    assert [line["message"] for line in lines(stream)] == [
        "Unexpected [ValueError] raised by servicer method [/service/method]"
    ]


def test_headers_outside_utf8_are_no_news_of_grpc(stream: io.StringIO) -> None:
    logging.getLogger("grpc._cython.cygrpc").error("Invalid encoding on %s", b"Bearer key\xff")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("field", ["short", ["short"] * 3])
def test_values_are_written_whole(stream: io.StringIO, field: object) -> None:
    logging.getLogger("some").info("call started", extra={"field": field})
    assert lines(stream)[0]["field"] == field


@pytest.mark.parametrize("field", ["x" * 10**6, ["x" * 10**5] * 1000, {"x" * 10**6: 1}, b"x" * 10**6])
def test_a_line_has_a_longest_length(stream: io.StringIO, call_fields: dict[str, Any], field: object) -> None:
    call_fields["call_id"] = "x" * 10**6
    logging.getLogger("some").error("x" * 10**6, exc_info=ValueError("x" * 10**6), extra={"field": field})
    (line,) = lines(stream)
    assert len(stream.getvalue()) < 40_000
    assert len(line["call_id"]) == 1001
    assert line["call_id"].endswith("…")


def test_the_end_of_a_traceback_is_kept(stream: io.StringIO) -> None:
    logging.getLogger("some").error("call failed", exc_info=ValueError("x" * 10**6 + " a bug"))
    assert lines(stream)[0]["exception"].endswith(" a bug")


UNSAFE = ["\x00", "\x1b", "\x7f", "\x80", "\x9b", "\u061c", "\u200e", "\u2028", "\u2029", "\u202e", "\u2066", "\u2069"]


@pytest.mark.parametrize("unsafe", [*UNSAFE, "\ufeff"], ids=lambda unsafe: f"U+{ord(unsafe):04X}")
def test_what_a_terminal_would_obey_is_escaped(stream: io.StringIO, unsafe: str) -> None:
    logging.getLogger("some").info(unsafe, extra={"field": unsafe, f"name{unsafe}": 1})
    assert unsafe not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    (line,) = lines(stream)
    assert (line["message"], line["field"], line[f"name{unsafe}"]) == (unsafe, unsafe, 1)


def test_half_a_character_is_escaped(stream: io.StringIO) -> None:
    """Only in fields: pytest's workers cannot pass on a message that holds one."""
    logging.getLogger("some").info("said", extra={"field": "\ud800"})
    assert "\ud800" not in stream.getvalue()
    (line,) = lines(stream)
    assert line["field"] == "\ud800"
