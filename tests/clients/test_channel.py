"""The connection: whose options hold, and how calls spread over gateways."""

import asyncio
import json

from all_settings import Settings
from asrgateway import RecognitionClient, StreamingConfig
from asrgateway.channel import with_defaults
from asrgateway.sync import RecognitionClient as SyncRecognitionClient
from asrgateway.v1.recognition_pb2 import (
    RecognizeResponse,
)
from asrgateway_server.grpc_api.server import _options
from counting_gateway import ALONE, Counting, serving


async def recognize(client: RecognitionClient) -> list[RecognizeResponse]:
    return [response async for response in client.recognize(StreamingConfig(), [b"audio"])]


# Options -----------------------------------------------------------------------------------------------------------


def test_an_option_given_replaces_the_default() -> None:
    options = dict(with_defaults([("grpc.keepalive_time_ms", 1), ("grpc.max_send_message_length", 2)]))
    assert (options["grpc.keepalive_time_ms"], options["grpc.max_send_message_length"]) == (1, 2)
    assert options["grpc.keepalive_timeout_ms"] == 20_000


def test_grpcs_own_retries_are_off_whatever_is_given() -> None:
    assert dict(with_defaults([("grpc.enable_retries", 1)]))["grpc.enable_retries"] == 0


def test_a_policy_given_is_not_overridden() -> None:
    options = dict(with_defaults([("grpc.lb_policy_name", "pick_first")]))
    assert "loadBalancingConfig" not in json.loads(str(options["grpc.service_config"]))


def test_the_gateway_accepts_the_pings_of_the_client() -> None:
    served = dict(_options(Settings(), 1))
    ours = dict(with_defaults(()))
    assert int(ours["grpc.keepalive_time_ms"]) >= 2 * int(served["grpc.http2.min_ping_interval_without_data_ms"])
    assert served["grpc.keepalive_permit_without_calls"] == 1


# Several gateways --------------------------------------------------------------------------------------------------


async def until_both_were_called(first: Counting, second: Counting, client: RecognitionClient) -> None:
    """A second connection may be ready later than the first."""
    async with asyncio.timeout(60):
        while not (first.calls and second.calls):
            await recognize(client)


async def test_gateways_behind_one_target_share_the_calls() -> None:
    first, second = Counting(), Counting()
    async with serving(first, second) as target, RecognitionClient(target, channel_options=ALONE) as client:
        await until_both_were_called(first, second, client)
        before = first.calls, second.calls
        for _ in range(10):
            await recognize(client)
        assert (first.calls - before[0], second.calls - before[1]) == (5, 5)


async def test_gateways_share_the_calls_without_asyncio_too() -> None:
    first, second = Counting(), Counting()

    def call_until_both_answered(target: str) -> None:
        with SyncRecognitionClient(target, channel_options=ALONE) as client:
            while not (first.calls and second.calls):
                list(client.recognize(StreamingConfig(), [b"audio"]))

    async with serving(first, second) as target, asyncio.timeout(60):
        await asyncio.to_thread(call_until_both_answered, target)


async def test_a_client_may_use_only_the_first_gateway() -> None:
    first, second = Counting(), Counting()
    options = (*ALONE, ("grpc.lb_policy_name", "pick_first"))
    async with serving(first, second) as target, RecognitionClient(target, channel_options=options) as client:
        for _ in range(10):
            await recognize(client)
        assert 10 in (first.calls, second.calls)
