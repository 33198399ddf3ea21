"""What a browser's own recorder writes, through a gateway."""

from __future__ import annotations

import base64
import io

import av
import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from browsers import captions_page
from calls import config, in_messages, recognize
from emulated_vendor import vendor_and_gateway

pytestmark = pytest.mark.usefixtures("chromium")

_RECORD = """async (milliseconds) => {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true});
  const recorder = new MediaRecorder(stream, {mimeType: "audio/webm;codecs=opus"});
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start(100);
  setTimeout(() => recorder.stop(), milliseconds);
  await stopped;
  stream.getTracks().forEach((track) => track.stop());
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""
#: Clusters of unknown size, in a segment of unknown size.
_UNKNOWN = b"\x01" + b"\xff" * 7
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"


async def test_what_chromium_records_is_heard_whole() -> None:
    async with vendor_and_gateway(web_listen="127.0.0.1:0") as (_, gateway, stub):
        async with captions_page(gateway.web_address) as captions:
            recorded = base64.b64decode(await captions.page.evaluate(_RECORD, 1_500))
        assert _SEGMENT + _UNKNOWN in recorded
        assert _CLUSTER + _UNKNOWN in recorded
        declared = pb.DecodingConfig(encoding=pb.AUDIO_ENCODING_WEBM_OPUS)
        outcome = await recognize(
            stub, [config(decoding_config=declared, model="paraformer-realtime-v2"), *in_messages(recorded, 500)]
        )
    assert outcome.code is grpc.StatusCode.OK, outcome.message
    assert outcome.finished.audio_duration.ToMilliseconds() == pytest.approx(milliseconds(recorded), abs=20)


def milliseconds(recorded: bytes) -> float:
    """How long a file is for FFmpeg."""
    with av.open(io.BytesIO(recorded), "r") as file:
        return sum(frame.samples / frame.sample_rate * 1000 for frame in file.decode(audio=0))
