"""What the transport makes of refused handshakes."""

from __future__ import annotations

import pytest

from asrgateway_server.errors import GatewayError, Overloaded, UpstreamLost, UpstreamRefused
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
    error = refusal(status)
    assert type(error) is means
    assert error.upstream_code == f"HTTP {status}"
