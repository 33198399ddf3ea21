"""The few frames of HTTP/2 (RFC 9113) that misuse needs, written by hand: no library would."""

from __future__ import annotations

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE: Final = 4
CANCEL: Final = (8).to_bytes(4, "big")


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None) -> bytes:
    """A frame; ``length`` is a lie about its payload."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def setting(identifier: int, value: int) -> bytes:
    """The payload of a SETTINGS frame with one setting."""
    return identifier.to_bytes(2, "big") + value.to_bytes(4, "big")


def field(name: str, value: str | bytes) -> bytes:
    """A header field, literal and without indexing (RFC 7541, 6.2.2)."""
    octets = (name.encode(), value if isinstance(value, bytes) else value.encode())
    return b"\0" + b"".join(bytes((len(text),)) + text for text in octets)


def call_headers(path: str) -> bytes:
    """The header block with which gRPC opens a call."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "gateway",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(field(name, value) for name, value in fields.items())
