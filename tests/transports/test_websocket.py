"""What the transport makes of refused handshakes."""

from __future__ import annotations

import pytest

from asrgateway_server.errors import GatewayError, Overloaded, Unauthenticated, UpstreamLost, UpstreamRefused
from asrgateway_server.transports.websocket import refusal


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (401, UpstreamRefused),
        (403, UpstreamRefused),
        (429, Overloaded),
        (500, UpstreamLost),
        (503, UpstreamLost),
        (200, UpstreamLost),
    ],
)
def test_a_refused_handshake_means_what_its_status_says(status: int, means: type[GatewayError]) -> None:
    error = refusal(status, is_callers=False)
    assert type(error) is means
    assert error.upstream_code == f"HTTP {status}"


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_key_of_the_callers_own_is_the_callers_affair(status: int) -> None:
    error = refusal(status, is_callers=True)
    assert type(error) is Unauthenticated
    assert (error.field, error.upstream_code) == ("x-dashscope-api-key", f"HTTP {status}")


@pytest.mark.parametrize("status", [429, 503])
def test_other_refusals_have_nothing_to_do_with_the_key(status: int) -> None:
    assert type(refusal(status, is_callers=True)) is type(refusal(status, is_callers=False))
