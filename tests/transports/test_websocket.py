"""What the transport makes of its surroundings."""

from __future__ import annotations

import pytest

from asrgateway_server.errors import GatewayError, Overloaded, UpstreamLost, UpstreamRefused
from asrgateway_server.transports.websocket import proxy_for, refusal

WSS = "wss://dashscope.aliyuncs.com/api-ws/v1/inference"
WS = "ws://127.0.0.1:8765/api-ws/v1/inference"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_a_proxy_there_is_none() -> None:
    assert proxy_for(WSS) is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_wss_goes_through_the_proxy_for_https(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://proxy:3128")
    assert proxy_for(WSS) == "http://proxy:3128"
    assert proxy_for(WS) is None


@pytest.mark.parametrize("exceptions", ["127.0.0.1", "*", "localhost,127.0.0.1:8765"])
def test_exceptions_from_the_proxy_hold(monkeypatch: pytest.MonkeyPatch, exceptions: str) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", exceptions)
    assert proxy_for(WS) is None


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
