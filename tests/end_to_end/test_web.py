"""What a browser sees of a call."""

from __future__ import annotations

from gateways import open_gateway
from web_calls import CONFIG, FINISH, in_frames, recognize

WEB = {"web_listen": "127.0.0.1:0"}


async def test_a_recording_becomes_text(mother: bytes) -> None:
    async with open_gateway(**WEB) as (gateway, _):
        outcome = await recognize(gateway, [CONFIG, *in_frames(mother), FINISH])
        assert outcome.texts == ["please call my mother tomorrow morning"]
        assert outcome.kinds == ["started", "result", "finished"]
        assert (outcome.status, outcome.close_code) == ({"code": 0}, 1000)
