"""Faults of the handshake, before there is a connection."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from dashscope_emulator.faults import Action, Drop, Fault, Phase, Refuse, Stall


def fault(action: Action) -> dict[str, Any]:
    """The options of an emulator with this fault of each handshake."""
    return {"faults": (Fault(action=action, phase=Phase.HANDSHAKE),)}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "InvalidApiKey"),
        (403, "AccessDenied"),
        (429, "Throttling.RateQuota"),
        (503, "ModelUnavailable"),
    ],
)
async def test_a_handshake_is_refused(start: Any, session: aiohttp.ClientSession, status: int, code: str) -> None:
    emulator = await start(**fault(Refuse(status=status)))
    async with session.get(f"{emulator.http_url}/api-ws/v1/inference") as response:
        assert (response.status, (await response.json())["code"]) == (status, code)


async def test_a_handshake_is_answered_with_garbage(start: Any, session: aiohttp.ClientSession) -> None:
    emulator = await start(**fault(Refuse(status=200, body="<html>")))
    async with session.get(f"{emulator.http_url}/api-ws/v1/inference") as response:
        assert await response.text() == "<html>"


async def test_a_handshake_is_dropped(start: Any, connect: Any) -> None:
    emulator = await start(**fault(Drop()))
    with pytest.raises(aiohttp.ClientConnectionError):
        await connect(emulator)


async def test_a_handshake_is_never_answered(start: Any, connect: Any) -> None:
    emulator = await start(**fault(Stall()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connect(emulator)
