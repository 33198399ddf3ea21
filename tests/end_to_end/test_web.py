"""What a browser sees of its calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from asrgateway_server.admission.keys import hashed_line
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually, open_gateway
from web_calls import (
    COMMIT,
    CONFIG,
    FINISH,
    SUBPROTOCOL,
    Frame,
    connected,
    in_frames,
    key_protocol,
    outcome_of,
    recognize,
    send,
    url_of,
)

WEB: dict[str, Any] = {"web_listen": "127.0.0.1:0"}
V2: dict[str, Any] = {"model": "paraformer-realtime-v2", "interimResults": True} | CONFIG
#: Five words; without a pause no sentence ends by itself.
SPOKEN = marker_audio(0, 150)
SENTENCE = "w0 w1 w2 w3 w4"
#: A model that takes updates while a task runs.
UPDATABLE = "qwen-audio-3.1-asr-flash-streaming"
KEY = "correct-horse-battery"


def frames(*these: Frame) -> tuple[Frame, ...]:
    return these


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(f"{hashed_line(KEY, 'team-a')}\n")
    return str(path)


async def test_a_recording_becomes_text(mother: bytes) -> None:
    async with open_gateway(**WEB) as (gateway, _):
        outcome = await recognize(gateway, [CONFIG, *in_frames(mother), FINISH])
        assert outcome.texts == ["please call my mother tomorrow morning"]
        assert outcome.kinds == ["started", "result", "finished"]
        assert (outcome.status, outcome.close_code) == ({"code": 0}, 1000)


async def test_names_of_the_contract_are_taken_in_either_spelling() -> None:
    async with vendor_and_gateway(**WEB) as (_, gateway, _):
        config = {"model": "paraformer-realtime-v2", "decoding_config": {"sample_rate_hertz": 16_000}}
        outcome = await recognize(gateway, [config, *in_frames(SPOKEN), FINISH])
        assert (outcome.texts, outcome.code) == ([SENTENCE], 0)


async def test_a_commit_ends_the_utterance() -> None:
    async with vendor_and_gateway(**WEB) as (_, gateway, _), connected(gateway) as connection:
        for frame in frames(V2, *in_frames(SPOKEN), COMMIT):
            await send(connection, frame)
        while not (response := await connection.receive_json()).get("result", {}).get("isFinal"):
            pass
        assert (response["result"]["transcript"], response["result"]["forced"]) == (SENTENCE, True)


async def test_an_update_is_answered() -> None:
    update = {"update": {"adaptation": {"context": "stars"}}}
    audio = in_frames(SPOKEN)
    async with vendor_and_gateway(**WEB) as (_, gateway, _):
        outcome = await recognize(gateway, [V2 | {"model": UPDATABLE}, *audio[:10], update, *audio[10:], FINISH])
        events = [response["streamEvent"]["eventType"] for response in outcome.responses if "streamEvent" in response]
        assert (events, outcome.code) == (["STREAM_EVENT_TYPE_UPDATE_APPLIED"], 0)


async def test_a_call_counts_as_one_of_the_gateway_but_not_as_one_of_grpc() -> None:
    async with vendor_and_gateway(**WEB) as (_, gateway, _):
        await recognize(gateway, [V2, *in_frames(SPOKEN), FINISH])
        value = gateway.metrics.registry.get_sample_value
        model = {"model": "paraformer-realtime-v2"}
        assert value("asrgateway_stream_duration_seconds_count", model) == 1
        grpc_calls = {"grpc_type": "bidi_stream", "grpc_service": "asrgateway.v1.SpeechRecognitionService"}
        assert value("grpc_server_started_total", grpc_calls | {"grpc_method": "Recognize"}) == 0


async def test_a_call_has_the_two_lines_of_any_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with vendor_and_gateway(**WEB) as (_, gateway, _):
        await recognize(gateway, [V2, *in_frames(SPOKEN), FINISH])
    lines = [record for record in caplog.records if record.message in {"call started", "call finished"}]
    assert [record.message for record in lines] == ["call started", "call finished"]
    assert vars(lines[1])["grpc_code"] == "OK"


# Wrong frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (["{"], "request"),
        (["[1]"], "request"),
        (["[" * 100_000], "request"),
        ([b"\0\0"], "streaming_config"),
        ([FINISH], "streaming_config"),
        ([{"nonsense": 1}], "streaming_config"),
        ([{"decodingConfig": {"nonsense": 1}}], "streaming_config.decoding_config"),
        ([{"decodingConfig": {"sampleRateHertz": "many"}}], "streaming_config.decoding_config.sample_rate_hertz"),
        ([{"decodingConfig": 5}], "streaming_config.decoding_config"),
        ([{"model": "nobody"}], "streaming_config.model"),
        ([{"requestId": "x" * 600_000}], "request"),
        ([{"languageCodes": ["en"] * 60_000}], "request"),
        ([CONFIG, CONFIG], "request"),
        ([CONFIG, {"commit": 5}], "request"),
        ([CONFIG, {"commit": {}, "finish": {}}], "request"),
        ([CONFIG, {"commit": {"now": True}}], "commit"),
        ([CONFIG, {"update": {"nonsense": 1}}], "update"),
        ([CONFIG, {}], "request"),
        ([CONFIG, b"\0" * 9000], "audio"),
        ([CONFIG, FINISH], "audio"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, list) else None,
)
async def test_a_wrong_frame_ends_the_call_with_its_field(sent: list[Frame], field: str) -> None:
    async with open_gateway(max_message_bytes=8192, **WEB) as (gateway, _):
        outcome = await recognize(gateway, sent)
        assert outcome.code in {3, 5}
        assert (outcome.field, outcome.close_code) == (field, 1000)


async def test_an_error_says_nothing_of_the_words_in_its_frame() -> None:
    secret = {"adaptation": {"hotwords": [{"text": {"Rumpelstiltskin": "Rumpelstiltskin"}}], "Rumpel stiltskin": 1}}
    async with open_gateway(**WEB) as (gateway, _):
        outcome = await recognize(gateway, [secret])
        assert outcome.code == 3
        assert "umpel" not in str(outcome.status)


# Keys -----------------------------------------------------------------------------------------------------------------


async def test_a_key_in_the_handshake_lets_in_and_is_not_sent_back(keys_file: str) -> None:
    async with (
        vendor_and_gateway(api_keys_file=keys_file, **WEB) as (_, gateway, _),
        connected(gateway, key=KEY) as connection,
    ):
        assert connection.protocol == SUBPROTOCOL
        for frame in frames(V2, *in_frames(SPOKEN), FINISH):
            await send(connection, frame)
        assert (await outcome_of(connection)).texts == [SENTENCE]


async def test_a_key_in_the_first_frame_lets_in(keys_file: str) -> None:
    async with vendor_and_gateway(api_keys_file=keys_file, **WEB) as (_, gateway, _):
        outcome = await recognize(gateway, [{"apiKey": KEY}, V2, *in_frames(SPOKEN), FINISH])
        assert (outcome.texts, outcome.code) == ([SENTENCE], 0)


async def test_a_key_that_nobody_asks_for_does_no_harm() -> None:
    async with vendor_and_gateway(**WEB) as (_, gateway, _):
        outcome = await recognize(gateway, [{"apiKey": KEY}, V2, *in_frames(SPOKEN), FINISH])
        assert (outcome.texts, outcome.code) == ([SENTENCE], 0)


@pytest.mark.parametrize(
    ("protocols", "first"),
    [
        ((SUBPROTOCOL,), CONFIG),
        ((SUBPROTOCOL,), {"apiKey": "a-key-of-somebody-else"}),
        ((SUBPROTOCOL, key_protocol("a-key-of-somebody-else")), CONFIG),
        ((SUBPROTOCOL, "asrgateway.key.a-key-of-somebody-else"), CONFIG),
    ],
)
async def test_without_a_key_nobody_is_let_in(
    keys_file: str, protocols: Iterable[str], first: Frame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_gateway(api_keys_file=keys_file, **WEB) as (gateway, _):
        outcome = await recognize(gateway, [first], protocols=protocols)
        assert (outcome.code, outcome.reason) == (16, "UNAUTHENTICATED")
        assert gateway.metrics.registry.get_sample_value("asrgateway_streams_rejected_total", {"reason": "auth"}) == 1
    assert "somebody-else" not in caplog.text + str(outcome.status) + str([vars(line) for line in caplog.records])


async def test_a_key_is_not_logged_even_where_no_protocol_fits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_gateway(**WEB) as (gateway, _):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await recognize(gateway, [], protocols=(key_protocol(KEY),))
        assert refused.value.status == 426
    assert key_protocol(KEY) not in caplog.text + str(refused.value.headers)


async def test_the_limit_of_a_client_holds_at_both_doors(keys_file: str) -> None:
    async with (
        vendor_and_gateway(api_keys_file=keys_file, max_client_streams=1, **WEB) as (_, gateway, stub),
        connected(gateway, key=KEY) as first,
    ):
        await send(first, V2)
        await first.receive_json()
        outcome = await recognize(gateway, [V2], key=KEY)
        assert (outcome.code, outcome.reason, outcome.retry_delay) == (8, "CLIENT_LIMIT_REACHED", "1s")
        call = stub.Recognize(metadata=(("authorization", f"Bearer {KEY}"),), timeout=60)
        assert (await call.code()).name == "RESOURCE_EXHAUSTED"


# The end --------------------------------------------------------------------------------------------------------------


async def test_a_browser_that_leaves_cancels_its_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with vendor_and_gateway(**WEB) as (vendor, gateway, _):
        async with connected(gateway) as connection:
            for frame in frames(V2, *in_frames(SPOKEN)):
                await send(connection, frame)
            while "result" not in await connection.receive_json():
                pass
            assert vendor.open_connections == 1
        await eventually(lambda: vendor.open_connections == 0)
        await eventually(lambda: finished(caplog) == ["CANCELLED"])


async def test_a_browser_that_leaves_after_its_last_audio_cancels_its_call_too() -> None:
    """Nothing is read any more then, but for its going."""
    async with vendor_and_gateway(**WEB, max_injected_silence_seconds=600) as (vendor, gateway, _):
        async with connected(gateway) as connection:
            for frame in frames(V2, *in_frames(SPOKEN), FINISH):
                await send(connection, frame)
        await eventually(lambda: vendor.open_connections == 0)


async def test_a_connection_that_is_cut_cancels_its_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with vendor_and_gateway(**WEB) as (vendor, gateway, _), connected(gateway) as connection:
        await send(connection, V2)
        await connection.receive_json()
        connection._writer.transport.abort()
        await eventually(lambda: vendor.open_connections == 0)
        await eventually(lambda: finished(caplog) == ["CANCELLED"])


def finished(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [vars(record)["grpc_code"] for record in caplog.records if record.message == "call finished"]


async def test_a_call_of_a_gateway_that_stops_is_told_and_then_cut() -> None:
    async with (
        vendor_and_gateway(drain_seconds=0.1, drain_finalize_seconds=10, **WEB) as (_, gateway, _),
        connected(gateway) as connection,
    ):
        for frame in frames(V2, *in_frames(SPOKEN)):
            await send(connection, frame)
        while (await connection.receive_json()).get("result", {}).get("transcript") != SENTENCE:
            pass
        gateway.drain.begin()
        _, outcome = await asyncio.gather(gateway.drain.finish(), outcome_of(connection))
        assert outcome.kinds == ["goingAway", "result"]
        assert outcome.texts == [SENTENCE]
        assert (outcome.code, outcome.reason, outcome.retry_delay) == (14, "DRAINING", "1s")


async def test_a_gateway_that_stops_answers_the_calls_that_are_open_at_its_web_door() -> None:
    async with vendor_and_gateway(drain_seconds=0.1, **WEB) as (_, gateway, _):
        ending = connected(gateway)
        connection = await ending.__aenter__()
        await send(connection, V2)
        await connection.receive_json()
    outcome = await outcome_of(connection)
    await ending.__aexit__(None, None, None)
    assert (outcome.code, outcome.reason) == (14, "DRAINING")


async def test_a_call_without_a_first_frame_ends() -> None:
    async with open_gateway(config_timeout_seconds=0.1, **WEB) as (gateway, _):
        outcome = await recognize(gateway, [])
        assert (outcome.code, outcome.reason, outcome.field) == (4, "CLIENT_STALLED", "streaming_config")


async def test_a_call_without_audio_ends() -> None:
    async with vendor_and_gateway(first_audio_timeout_seconds=0.1, **WEB) as (_, gateway, _):
        outcome = await recognize(gateway, [V2])
        assert (outcome.code, outcome.reason, outcome.field) == (4, "CLIENT_STALLED", "audio")


# Where pages come from ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origins", "origin", "is_let_in"),
    [
        ((), None, True),
        ((), "http://{address}", True),
        ((), "http://evil.example", False),
        ((), "null", False),
        (("https://app.example",), "https://app.example", True),
        (("https://app.example",), "https://app.example.evil", False),
        (("https://app.example",), "http://{address}", False),
        (("*",), "http://evil.example", True),
    ],
)
async def test_only_pages_of_allowed_origins_may_call(
    origins: tuple[str, ...], origin: str | None, is_let_in: bool
) -> None:
    async with open_gateway(web_origins=origins, **WEB) as (gateway, _):
        headers = {"Origin": origin.format(address=gateway.web_address)} if origin else {}
        assert await is_connected(url_of(gateway), headers) == is_let_in


async def test_a_page_of_a_foreign_name_that_points_here_may_not_call() -> None:
    async with open_gateway(**WEB) as (gateway, _):
        headers = {"Origin": "http://evil.example:8080", "Host": "evil.example:8080"}
        assert not await is_connected(url_of(gateway), headers)


async def is_connected(url: str, headers: dict[str, str]) -> bool:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": SUBPROTOCOL}
    async with aiohttp.ClientSession() as session, session.get(url, headers=upgrade | headers) as response:
        return {101: True, 403: False}[response.status]


async def test_the_listener_is_off_unless_it_is_wanted() -> None:
    async with open_gateway() as (gateway, _):
        assert gateway.web_address is None
