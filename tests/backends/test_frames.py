from __future__ import annotations

import pytest

from asrgateway_server.backends.frames import HEADER, Frame, pack


@pytest.mark.parametrize("payload", [b"", b"\0", b"abc", bytes(3_200), bytes(1 << 17)])
@pytest.mark.parametrize("kind", list(Frame))
def test_a_frame_is_its_kind_its_length_and_its_payload(kind: Frame, payload: bytes) -> None:
    packed = pack(kind, payload)
    assert HEADER.unpack(packed[: HEADER.size]) == (kind, len(payload))
    assert packed[HEADER.size :] == payload


def test_frames_on_the_wire() -> None:
    assert pack(Frame.AUDIO, b"ab") == b"\x02\x00\x00\x00\x02ab"


def test_a_frame_without_payload_is_a_header_alone() -> None:
    assert pack(Frame.FINISH) == b"\x04\x00\x00\x00\x00"
