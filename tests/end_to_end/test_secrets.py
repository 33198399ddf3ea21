"""Keys, hot words and what was said leave no trace in log, metrics and errors, however a call ends."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import aiohttp
import grpc
import pytest

from all_settings import Settings
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.logs import JsonFormatter
from calls import Stub, audio, config, in_messages
from dashscope_emulator import EmulatorOptions, running_emulator
from dashscope_emulator.faults import Action, Close, Drop, Fail, Fault, Garbage, Garble, Phase, Refuse
from dashscope_emulator.recognizers.markers import MarkerScript, marker_audio
from gateways import open_gateway
from processes import gateway_process

VENDOR_KEY = "sk-vendor-zx81-abcdef0123456789"
CALLERS_VENDOR_KEY = "sk-callers-qy72-abcdef0123456789"
CALLER_KEY = "caller-key-wv63-abcdef0123456789"
WRONG_KEY = "wrong-key-ut54-abcdef0123456789"
HOTWORD, CONTEXT = "Hotwordquark", "机密上下文zebra"
SAID = "transcriptquokka"
SECRETS = (VENDOR_KEY, CALLERS_VENDOR_KEY, CALLER_KEY, WRONG_KEY, HOTWORD, CONTEXT, SAID)

MODELS = ("paraformer-realtime-v2", "fun-asr-realtime", "qwen3-asr-flash-realtime")
SPOKEN = in_messages(marker_audio(0, 150))
SHOWN = (("authorization", f"Bearer {CALLER_KEY}"),)
ADAPTATION = pb.SpeechAdaptation(hotwords=[pb.Hotword(text=HOTWORD)], context=CONTEXT)


def forms(secret: str) -> Iterator[str]:
    """Yield what a secret may look like."""
    data = secret.encode()
    yield secret
    yield json.dumps(secret).strip('"')
    yield repr(data)[2:-1]
    yield quote(secret, safe="")
    yield data.hex()
    for lead in range(3):
        # Whatever stands before it, one of three encodings has these letters; the first and last belong to neighbours.
        encoded = base64.b64encode(bytes(lead) + data).decode().rstrip("=")
        yield encoded[4:-2]
        yield encoded[4:-2].replace("+", "-").replace("/", "_")


def traces(text: str) -> list[str]:
    """Return the secrets that a text holds in any form."""
    return [secret for secret in SECRETS if any(form.casefold() in text.casefold() for form in forms(secret))]


@pytest.mark.parametrize(
    "text",
    [
        f"key={VENDOR_KEY}&",
        json.dumps({"context": CONTEXT}),
        repr(f"a{CONTEXT}b".encode()),
        f"https://vendor/?corpus={quote(CONTEXT)}",
        base64.b64encode(f"Basic {CALLER_KEY}!".encode()).decode(),
        base64.urlsafe_b64encode(b"\xff" + CONTEXT.encode()).decode(),
        SAID.upper(),
        HOTWORD.encode().hex(),
    ],
)
def test_a_trace_is_found_in_any_form(text: str) -> None:
    assert len(traces(text)) == 1


def test_other_text_holds_no_trace() -> None:
    assert traces("call finished transcript hotword key sk-vendor") == []


@dataclass
class Seen:
    """Everything that callers and operators saw.

    Attributes:
        codes: The status of each call.
        errors: What came with those that were not OK.
    """

    codes: list[grpc.StatusCode] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def call(
        self, stub: Stub, *requests: pb.RecognizeRequest, metadata: tuple[tuple[str, str], ...] = SHOWN
    ) -> None:
        call = stub.Recognize(iter(requests), timeout=60, metadata=metadata)
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        self.codes.append(await call.code())
        self.errors.append(
            f"{await call.details()} {await call.trailing_metadata()!r} {await call.initial_metadata()!r}"
        )


@asynccontextmanager
async def secret_settings(folder: Path, *faults: Fault) -> AsyncIterator[dict[str, str]]:
    """The settings of a gateway that holds every secret, before a vendor that knows only the gateway's key."""
    (folder / "vendor").write_text(VENDOR_KEY)
    (folder / "callers").write_text(hashed_line(CALLER_KEY))
    vendor_options = EmulatorOptions(
        recognizer="markers", script=MarkerScript(words=(SAID,) * 200), faults=faults, api_key=VENDOR_KEY
    )
    async with running_emulator(vendor_options) as vendor:
        yield {
            "dashscope_url": vendor.url,
            "dashscope_api_key_file": str(folder / "vendor"),
            "api_keys_file": str(folder / "callers"),
            "allow_caller_keys": "true",
            "embedded_workers": "0",
            "backlog_speed": "1000",
            "reconnect_pause_seconds": "0.01",
        }


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of a gateway at DEBUG in the test's own process, without the lines of the emulator beside it."""
    caplog.set_level("WARNING", "aiohttp.access")
    caplog.set_level("DEBUG")
    caplog.handler.setFormatter(JsonFormatter())
    caplog.handler.addFilter(lambda record: not record.name.startswith("dashscope_emulator"))
    return caplog


async def scraped(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


def wishing(model: str, **values: object) -> pb.RecognizeRequest:
    return config(model=model, interim_results=True, adaptation=ADAPTATION, **values)


async def all_kinds_of_calls(stub: Stub) -> Seen:
    """Calls that end well and calls that fail, each with all the secrets that it can have."""
    seen = Seen()
    own = (*SHOWN, ("x-dashscope-api-key", CALLERS_VENDOR_KEY))
    for model in MODELS:
        await seen.call(stub, wishing(model), *SPOKEN)
        await seen.call(stub, wishing(model), *SPOKEN, metadata=own)
        await seen.call(stub, wishing(model, strict=True), *SPOKEN)
        await seen.call(
            stub, wishing(model), pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=ADAPTATION)), *SPOKEN
        )
    await seen.call(stub, wishing("unheard-of"))
    await seen.call(stub, wishing(MODELS[0], language_codes=[HOTWORD]), *SPOKEN)
    await seen.call(stub, wishing(MODELS[0]), wishing(MODELS[0]))
    await seen.call(stub, audio(SAID.encode()))
    await seen.call(stub, wishing(MODELS[0]), audio(SAID.encode()[:15]))
    await seen.call(stub, wishing(MODELS[0]), metadata=(("authorization", f"Bearer {WRONG_KEY}"),))
    await seen.call(stub, wishing(MODELS[0]), metadata=(("x-api-key", WRONG_KEY),))
    cancelled = stub.Recognize(metadata=SHOWN)
    await cancelled.write(wishing(MODELS[0]))
    await cancelled.read()
    cancelled.cancel()
    return seen


@pytest.mark.parametrize("transport", ["websocket", "official_sdk"])
async def test_secrets_leave_no_trace(tmp_path: Path, transport: str) -> None:
    transports = ",".join(f"{model}={transport}" for model in MODELS)
    async with (
        secret_settings(tmp_path) as settings,
        gateway_process(**settings, transports=transports, log_level="DEBUG") as (gateway, stub),
    ):
        seen = await all_kinds_of_calls(stub)
        metrics = await scraped(await gateway.address("metrics"))
        gateway.process.terminate()
        assert await gateway.exit_code() == 0
    assert seen.codes.count(grpc.StatusCode.OK) >= 2 * len(MODELS)
    assert {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED} <= set(seen.codes)
    assert len(gateway.lines) > 2 * len(seen.codes)
    assert traces("\n".join(json.dumps(line, ensure_ascii=False) for line in gateway.lines)) == []
    assert traces(metrics) == []
    assert [error for error in seen.errors if traces(error)] == []


MISFORTUNES: dict[str, tuple[Action, Phase]] = {
    "refused with an echo": (Refuse(status=401, body=f"{VENDOR_KEY} {HOTWORD}"), Phase.HANDSHAKE),
    "failed with an echo": (Fail(code="InvalidParameter", message=f"no {HOTWORD} after {SAID}"), Phase.SPEECH),
    "failed at once": (Fail(code="InternalError", message=f"no {VENDOR_KEY}"), Phase.START),
    "closed with an echo": (Close(code=1011, reason=f"{SAID}"), Phase.SPEECH),
    "dropped": (Drop(), Phase.SPEECH),
    "not even JSON": (Garble(kind=Garbage.BROKEN_JSON), Phase.SPEECH),
    "unknown": (Garble(kind=Garbage.UNKNOWN_EVENT), Phase.SPEECH),
}


@pytest.mark.parametrize("misfortune", MISFORTUNES)
async def test_what_the_vendor_echoes_stays_with_the_gateway(
    tmp_path: Path, log: pytest.LogCaptureFixture, misfortune: str
) -> None:
    action, phase = MISFORTUNES[misfortune]
    fault = Fault(action=action, phase=phase, audio_ms=600 if phase is Phase.SPEECH else 0)
    seen = Seen()
    async with (
        secret_settings(tmp_path, fault) as settings,
        open_gateway(**settings, max_upstream_failures=5) as (gateway, stub),
    ):
        for model in MODELS:
            await seen.call(stub, wishing(model), *SPOKEN)
        metrics = await scraped(f"http://{gateway.http_address}/metrics")
    assert log.messages.count("call finished") == len(MODELS)
    assert traces(log.text) == []
    assert traces(metrics) == []
    assert [error for error in seen.errors if traces(error)] == []


def test_secrets_are_in_no_repr_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "vendor").write_text(VENDOR_KEY)
    settings = Settings.from_environment(
        {"DASHSCOPE_API_KEY_FILE_PATH": str(tmp_path / "vendor"), "DASHSCOPE_API_KEY": VENDOR_KEY}
    )
    assert traces(f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}") == []
