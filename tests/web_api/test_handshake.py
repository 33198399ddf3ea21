"""What a browser says when it opens a connection."""

from __future__ import annotations

import base64

import pytest
from aiohttp.test_utils import make_mocked_request

from asrgateway_server.web_api.handshake import Handshake

OURS = "asrgateway.v1.json"


def handshake(protocols: str = OURS, **headers: str) -> Handshake:
    known = {"Upgrade": "websocket", "Sec-WebSocket-Protocol": protocols}
    return Handshake(make_mocked_request("GET", "/v1/recognize", headers=known | headers))


def in_base64url(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


@pytest.mark.parametrize("key", ["a", "ab", "abc", "correct-horse-battery", "~~~???>>>"])
def test_a_key_is_a_subprotocol_in_base64url(key: str) -> None:
    assert handshake(f"{OURS}, asrgateway.key.{in_base64url(key)}").key == key


@pytest.mark.parametrize("text", ["%", "a", "++++", "w7w", "=", ""])
def test_what_is_no_key_in_base64url_is_no_known_key(text: str) -> None:
    assert handshake(f"{OURS},asrgateway.key.{text}").key == text


def test_without_the_subprotocol_it_is_no_call() -> None:
    assert handshake("asrgateway.v2.json").problem == "offer the subprotocol asrgateway.v1.json"


def test_without_an_upgrade_it_is_no_call() -> None:
    assert handshake(Upgrade="h2c").problem == "open a WebSocket here"


def test_a_program_that_is_no_browser_has_no_origin() -> None:
    assert handshake().comes_from((), is_local=True)


@pytest.mark.parametrize(
    ("origin", "host", "is_local", "may"),
    [
        ("https://asr.example", "asr.example", False, True),
        ("https://ASR.example", "asr.EXAMPLE", False, True),
        ("https://asr.example:8443", "asr.example:8443", False, True),
        ("https://asr.example", "asr.example:8443", False, False),
        ("https://evil.example", "asr.example", False, False),
        ("null", "", False, False),
        ("", "", False, False),
        ("http://localhost:8080", "localhost:8080", True, True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True, True),
        ("http://[::1]:8080", "[::1]:8080", True, True),
        ("http://evil.example:8080", "evil.example:8080", True, False),
    ],
)
def test_pages_of_the_same_origin_may_call(origin: str, host: str, is_local: bool, may: bool) -> None:
    assert handshake(Origin=origin, Host=host).comes_from((), is_local=is_local) == may


def test_the_origins_that_are_named_replace_the_own_one() -> None:
    page = handshake(Origin="https://asr.example", Host="asr.example")
    assert not page.comes_from(("https://app.example",), is_local=False)
    assert page.comes_from(("https://ASR.example/",), is_local=False)
    assert page.comes_from(("*",), is_local=True)
