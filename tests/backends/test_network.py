"""How the environment says to reach the vendor."""

from __future__ import annotations

import pytest

from asrgateway_server.backends.network import proxy_for, tls
from asrgateway_server.settings import SettingsError

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


def test_the_proxy_of_a_websocket_is_that_of_http_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert proxy_for("https://dashscope.aliyuncs.com/api/v1/tokens") == "http://proxy:3128"


def test_certificates_that_cannot_be_read_are_named() -> None:
    with pytest.raises(SettingsError, match="upstream_ca_file: /nowhere cannot be read"):
        tls("/nowhere")
