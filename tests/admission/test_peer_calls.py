from __future__ import annotations

from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.peer_calls import PeerCalls
from asrgateway_server.errors import ClientLimitReached
from asrgateway_server.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def refused(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("asrgateway_streams_rejected_total", {"reason": "quota"})


def test_without_a_limit_an_address_may_have_any_number_of_calls(metrics: Metrics) -> None:
    calls = PeerCalls(0, metrics)
    with ExitStack() as stack:
        for port in range(100):
            stack.enter_context(calls.counted(f"ipv4:10.0.0.1:{port}"))


def test_a_call_beyond_the_limit_is_refused_from_any_port(metrics: Metrics) -> None:
    calls = PeerCalls(1, metrics)
    with (
        calls.counted("ipv4:10.0.0.1:1"),
        pytest.raises(ClientLimitReached, match="this address has reached its limit of 1 open calls"),
        calls.counted("ipv4:10.0.0.1:2"),
    ):
        pass
    assert refused(metrics) == 1


def test_another_address_has_a_limit_of_its_own(metrics: Metrics) -> None:
    calls = PeerCalls(1, metrics)
    with calls.counted("ipv4:10.0.0.1:1"), calls.counted("ipv4:10.0.0.2:1"), calls.counted("ipv6:%5B::1%5D:1"):
        pass


def test_an_ended_call_makes_room_also_after_an_error(metrics: Metrics) -> None:
    calls = PeerCalls(1, metrics)
    for _ in range(2):
        with pytest.raises(ValueError, match="a bug"), calls.counted("ipv4:10.0.0.1:1"):
            raise ValueError("a bug")
    assert not calls._open
