"""A vendor behind TLS, as the real one is."""

from __future__ import annotations

from pathlib import Path

import grpc

from asrgateway_server.emulator import EmulatorOptions, running_emulator
from asrgateway_server.emulator.recognizers.markers import marker_audio
from calls import config, in_messages, recognize
from certificates import make_certificate
from gateways import open_gateway

AUDIO = marker_audio(0, 3000)


async def test_a_call_of_many_packets_reaches_its_end(tmp_path: Path) -> None:
    """On TLS a buffer limit of 0 stops the writer for good after a few packets: "empty" then counts as "full"."""
    certificate = make_certificate(tmp_path)
    options = EmulatorOptions(recognizer="markers", tls_cert=certificate.chain, tls_key=certificate.key)
    async with (
        running_emulator(options) as vendor,
        open_gateway(
            dashscope_url=vendor.url,
            dashscope_api_key="sk-test",
            upstream_ca_file=str(certificate.chain),
            embedded_workers=0,
            backlog_speed=1000.0,
        ) as (_, stub),
    ):
        requests = [config(model="paraformer-realtime-v2"), *in_messages(AUDIO)]
        outcome = await recognize(stub, requests, timeout=10)
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.finished.audio_duration.ToMilliseconds() == 30_000
    assert outcome.texts
