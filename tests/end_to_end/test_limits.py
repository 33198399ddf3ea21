"""What one caller may ask of the gateway, beyond the limits that the audio has."""

from __future__ import annotations

import asyncio

import grpc

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from calls import RECORDINGS, audio, config, outcome_of, pcm, recognize
from gateways import open_gateway

BOY = pcm(RECORDINGS / "boy.wav")
BOYS_WORDS = "the boy was there when the sun rose"


async def test_more_metadata_than_is_taken_ends_the_call_and_no_other() -> None:
    async with open_gateway(max_metadata_bytes=2048) as (_, stub):
        call = stub.Recognize(timeout=60)
        await call.write(config())
        await call.read()
        codes = {
            await stub.ListModels(pb.ListModelsRequest(), metadata=(("x-much", "x" * size),)).code()
            for size in (2048, 4096, 65_536)
        }
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert await stub.ListModels(pb.ListModelsRequest(), metadata=(("x-little", "x" * 1024),)).code() is (
            grpc.StatusCode.OK
        )
        await call.write(audio(BOY))
        await call.done_writing()
        assert (await outcome_of(call)).texts == [BOYS_WORDS]


async def test_an_old_connection_is_left_by_new_calls_and_kept_for_open_ones() -> None:
    async with (
        open_gateway(max_connection_age_seconds=0.5, embedded_workers=2) as (gateway, _),
        grpc.aio.insecure_channel(str(gateway.address)) as channel,
    ):
        stub = pb_grpc.SpeechRecognitionServiceStub(channel)
        call = stub.Recognize(timeout=60)
        await call.write(config())
        await call.read()
        async with asyncio.timeout(60):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        assert (await recognize(stub, [config(), audio(BOY)])).texts == [BOYS_WORDS]
        await call.write(audio(BOY))
        await call.done_writing()
        assert (await outcome_of(call)).texts == [BOYS_WORDS]
