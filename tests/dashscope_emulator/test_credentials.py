"""Keys in every documented form, tokens, and how others are refused."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

KEY = "sk-right"
ACCEPTED: dict[str, dict[str, Any]] = {
    "Bearer": {"headers": {"Authorization": f"Bearer {KEY}"}},
    "bearer": {"headers": {"Authorization": f"bearer {KEY}"}},
    "bare": {"headers": {"Authorization": KEY}},
    "query": {"headers": {}, "params": {"api_key": KEY}},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"headers": {}}, "No API-key provided."),
    "empty": ({"headers": {"Authorization": "Bearer "}}, "No API-key provided."),
    "wrong": ({"headers": {"Authorization": "Bearer sk-wrong"}}, "Invalid API-key provided."),
    "made-up token": ({"headers": {"Authorization": "Bearer st-1"}}, "Invalid API-key provided."),
}


@pytest.mark.parametrize("options", ACCEPTED.values(), ids=ACCEPTED.keys())
@pytest.mark.parametrize("slash", ["", "/"], ids=["no slash", "slash"])
async def test_a_right_key_is_accepted(
    start: Any, session: aiohttp.ClientSession, options: dict[str, Any], slash: str
) -> None:
    emulator = await start(api_key=KEY)
    async with session.ws_connect(f"{emulator.url}/api-ws/v1/inference{slash}", **options) as socket:
        assert not socket.closed


@pytest.mark.parametrize("path", ["inference", "inference/"])
@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_any_other_key_gets_the_vendors_error(
    start: Any, session: aiohttp.ClientSession, path: str, options: dict[str, Any], message: str
) -> None:
    emulator = await start(api_key=KEY)
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x",
    }
    headers = {**upgrade, **options["headers"]}
    async with session.get(f"{emulator.http_url}/api-ws/v1/{path}", headers=headers) as response:
        assert response.status == 401
        body = await response.json()
    assert (body["code"], body["message"]) == ("InvalidApiKey", message)
    assert len(body["request_id"]) == 36


async def test_any_key_is_accepted_unless_one_is_set(start: Any, connect: Any) -> None:
    client = await connect(await start())
    assert not client.socket.closed


async def test_the_status_of_a_refusal_is_a_knob(start: Any, connect: Any) -> None:
    emulator = await start(api_key=KEY, knobs={"bad_key_status": 403})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(emulator)
    assert refused.value.status == 403


async def get_token(session: aiohttp.ClientSession, emulator: Any, key: str = KEY, **query: int | str) -> Any:
    url = f"{emulator.http_url}/api/v1/tokens"
    async with session.post(url, params=query, headers={"Authorization": f"Bearer {key}"}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(("query", "seconds"), [({}, 60), ({"expire_in_seconds": 1800}, 1800)])
async def test_a_key_is_exchanged_for_a_token(
    start: Any, connect: Any, session: aiohttp.ClientSession, query: dict[str, int], seconds: int
) -> None:
    emulator = await start(api_key=KEY)
    status, body = await get_token(session, emulator, KEY, **query)
    assert status == 200
    assert body["token"].startswith("st-")
    assert body["expires_at"] == pytest.approx(time.time() + seconds, abs=2)
    client = await connect(emulator, headers={"Authorization": f"Bearer {body['token']}"})
    assert (await client.run())["header"]["event"] == "task-started"


@pytest.mark.parametrize("seconds", ["0", "1801", "-1", "soon"])
async def test_a_token_lives_from_1_to_1800_seconds(start: Any, session: aiohttp.ClientSession, seconds: str) -> None:
    status, body = await get_token(session, await start(), expire_in_seconds=seconds)
    assert (status, body["code"]) == (400, "InvalidParameter")


async def test_a_wrong_key_gets_no_token(start: Any, session: aiohttp.ClientSession) -> None:
    status, body = await get_token(session, await start(api_key=KEY), key="sk-wrong")
    assert (status, body["code"]) == (401, "InvalidApiKey")


async def test_an_expired_token_is_refused(start: Any, connect: Any, session: aiohttp.ClientSession) -> None:
    emulator = await start(time_scale=1000)
    _, body = await get_token(session, emulator, expire_in_seconds=1)
    await asyncio.sleep(0.002)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(emulator, headers={"Authorization": f"Bearer {body['token']}"})
    assert refused.value.status == 401


@pytest.mark.parametrize(("closes", "code"), [(False, 1000), (True, 1008)])
async def test_whether_an_open_socket_outlives_its_token_is_a_knob(
    start: Any, connect: Any, session: aiohttp.ClientSession, closes: bool, code: int
) -> None:
    knobs = {"expired_token_closes": closes, "first_task_seconds": 100}
    emulator = await start(time_scale=1000, knobs=knobs)
    _, body = await get_token(session, emulator, expire_in_seconds=50)
    client = await connect(emulator, headers={"Authorization": f"Bearer {body['token']}"})
    assert await client.close_code() == code
