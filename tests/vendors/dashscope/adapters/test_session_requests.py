"""Which request an answer of the server is about."""

from __future__ import annotations

import pytest

from asrgateway_server.vendors.dashscope.adapters.session_messages import ErrorDetails
from asrgateway_server.vendors.dashscope.adapters.session_requests import Asked, Requests


@pytest.fixture
def requests() -> Requests:
    """An update ``event_c_1``, a probe ``event_c_2`` and the end ``event_c_3``."""
    requests = Requests("c")
    for asked in (Asked.UPDATE, Asked.PROBE, Asked.FINISH):
        requests.add(asked)
    return requests


def test_every_message_has_a_name_of_its_own(requests: Requests) -> None:
    assert [requests.new_event_id(), requests.add(Asked.UPDATE)] == ["event_c_4", "event_c_5"]


def test_settings_are_acknowledged_in_their_order(requests: Requests) -> None:
    acknowledged = [requests.acknowledged() for _ in range(3)]
    assert [request and request.asked for request in acknowledged] == [Asked.UPDATE, Asked.PROBE, None]


@pytest.mark.parametrize(
    ("event_id", "param", "asked"),
    [
        ("event_c_2", None, Asked.PROBE),
        ("event_c_2", "anything", Asked.PROBE),
        ("event_c_9", "session", None),
        (None, "session.sample_rate", Asked.UPDATE),
        (None, None, Asked.FINISH),
        ("", "audio", Asked.FINISH),
    ],
)
def test_an_error_is_about_what_it_names_or_the_oldest_that_it_may_be_about(
    requests: Requests, event_id: str | None, param: str | None, asked: Asked | None
) -> None:
    request = requests.refused(ErrorDetails(event_id=event_id, param=param))
    assert (request and request.asked) == asked
    assert asked is None or not requests.has(asked)


def test_where_nothing_fits_an_error_is_about_the_oldest_of_all(requests: Requests) -> None:
    refused = [requests.refused(ErrorDetails()) for _ in range(4)]
    assert [request and request.asked for request in refused] == [Asked.FINISH, Asked.UPDATE, Asked.PROBE, None]
