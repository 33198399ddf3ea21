"""Keys and tokens, with real files and the emulator's token endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from all_settings import Settings
from asrgateway_server.config import AudioFormat, RecognitionConfig
from asrgateway_server.errors import GatewayError, InvalidRequest, Unauthenticated, UpstreamLost, UpstreamRefused
from asrgateway_server.models import Model
from asrgateway_server.served_models import served_models
from asrgateway_server.settings import SettingsError
from asrgateway_server.vendors.dashscope.credentials import FixedKey, KeyFile, Keyring, TemporaryTokens
from asrgateway_server.vendors.dashscope.endpoints import Endpoint
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from asrgateway_server.vendors.registry import VENDORS
from caller_keys import brought
from dashscope_emulator import EmulatorOptions, running_emulator

V2 = "paraformer-realtime-v2"
LAB: dict[str, Any] = {"lab": {"url": "ws://127.0.0.1:1", "workspace": "ws-lab", "api_key": "sk-lab"}}


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# A key in a file --------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("sk-1\n")
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_a_file_holds_a_key(path: Path) -> None:
    assert await KeyFile(path).key() == "sk-1"


async def test_a_new_key_in_the_file_is_the_next_one(path: Path) -> None:
    file = KeyFile(path, check_seconds=0.0)
    write(path, "sk-22\n")
    assert await file.key() == "sk-22"


async def test_a_file_that_is_replaced_is_read_again(path: Path, tmp_path: Path) -> None:
    """As Kubernetes does it: the name then leads to another file."""
    file = KeyFile(path, check_seconds=0.0)
    (tmp_path / "new").write_text("sk-2\n")
    (tmp_path / "new").replace(path)
    assert await file.key() == "sk-2"


async def test_the_file_is_looked_at_once_a_second_at_most(path: Path, clock: Clock) -> None:
    file = KeyFile(path, clock=clock)
    write(path, "sk-22\n")
    clock.now += 0.9
    assert await file.key() == "sk-1"
    clock.now += 0.1
    assert await file.key() == "sk-22"


async def test_a_rejected_key_is_reason_enough_to_look_at_once(path: Path, clock: Clock) -> None:
    file = KeyFile(path, clock=clock)
    write(path, "sk-22\n")
    assert await file.key(instead_of="sk-1") == "sk-22"


def gone(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    write(path, "")


def scrambled(path: Path) -> None:
    path.write_bytes(b"\xff\xfe sk-secret")


@pytest.mark.parametrize("spoil", [gone, emptied, scrambled])
async def test_a_file_that_is_spoilt_leaves_the_last_key_and_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    file = KeyFile(path, check_seconds=0.0)
    spoil(path)
    assert [await file.key() for _ in range(3)] == ["sk-1"] * 3
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "changed files are unusable, what they held before stays in force")
    ]
    assert "sk-" not in f"{vars(caplog.records[0])}"
    write(path, "sk-2\n")
    assert await file.key() == "sk-2"


def test_a_file_that_is_spoilt_from_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="/nothing cannot be read: No such file"):
        KeyFile(tmp_path / "nothing")


# Tokens -----------------------------------------------------------------------------------------------------------


class Exchange:
    """Makes tokens st-1, st-2 and so on, once it may; fails while it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: GatewayError | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, key: str) -> str:
        self.asked.append(key)
        number = len(self.asked)
        await self.may_answer.wait()
        if self.error:
            raise self.error
        return f"st-{number}"


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def tokens(exchange: Exchange, clock: Clock) -> TemporaryTokens:
    return TemporaryTokens(FixedKey(SecretStr("sk-1")), exchange, 100.0, clock=clock)


async def test_a_key_is_exchanged_once(tokens: TemporaryTokens, exchange: Exchange) -> None:
    assert [await tokens.key() for _ in range(3)] == ["st-1"] * 3
    assert exchange.asked == ["sk-1"]


async def test_however_many_wait_one_asks(tokens: TemporaryTokens, exchange: Exchange) -> None:
    exchange.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(tokens.key()) for _ in range(20)]
        await asyncio.sleep(0)
        exchange.may_answer.set()
    assert {task.result() for task in waiting} == {"st-1"}
    assert len(exchange.asked) == 1


@pytest.mark.parametrize(("passed", "token"), [(79.9, "st-1"), (80.0, "st-2")])
async def test_a_token_is_renewed_when_a_fifth_of_its_life_is_left(
    tokens: TemporaryTokens, clock: Clock, passed: float, token: str
) -> None:
    await tokens.key()
    clock.now += passed
    assert await tokens.key() == token


async def test_while_one_renews_the_others_use_the_last_token(
    tokens: TemporaryTokens, exchange: Exchange, clock: Clock
) -> None:
    await tokens.key()
    clock.now += 80.0
    exchange.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        renewing = group.create_task(tokens.key())
        await asyncio.sleep(0)
        assert await tokens.key() == "st-1"
        exchange.may_answer.set()
    assert renewing.result() == "st-2"


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end(
    tokens: TemporaryTokens, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await tokens.key()
    exchange.error = UpstreamLost("gone")
    clock.now += 90.0
    assert [await tokens.key() for _ in range(3)] == ["st-1"] * 3
    assert len(exchange.asked) == 2
    assert [record.message for record in caplog.records] == ["token not renewed, the last one is kept"]
    clock.now += 10.0
    with pytest.raises(UpstreamLost, match="gone"):
        await tokens.key()


async def test_those_who_waited_share_a_failure_and_the_next_one_asks_again(
    tokens: TemporaryTokens, exchange: Exchange
) -> None:
    exchange.may_answer.clear()
    exchange.error = UpstreamLost("gone", upstream_code="HTTP 503")
    waiting = [asyncio.create_task(tokens.key()) for _ in range(20)]
    await asyncio.sleep(0)
    exchange.may_answer.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {(type(error), getattr(error, "upstream_code", "")) for error in failures} == {(UpstreamLost, "HTTP 503")}
    assert len(exchange.asked) == 1
    exchange.error = None
    assert await tokens.key() == "st-2"


async def test_one_that_is_cancelled_while_it_asks_leaves_the_asking_to_the_next(
    tokens: TemporaryTokens, exchange: Exchange
) -> None:
    exchange.may_answer.clear()
    first, second = asyncio.create_task(tokens.key()), asyncio.create_task(tokens.key())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    exchange.may_answer.set()
    assert await second == "st-2"


async def test_a_rejected_token_is_replaced_once_for_all(tokens: TemporaryTokens, exchange: Exchange) -> None:
    await tokens.key()
    assert [await tokens.key(instead_of="st-1") for _ in range(5)] == ["st-2"] * 5
    assert len(exchange.asked) == 2


async def test_the_key_that_tokens_are_made_of_may_change(path: Path, exchange: Exchange, clock: Clock) -> None:
    tokens = TemporaryTokens(KeyFile(path, check_seconds=0.0), exchange, 100.0, clock=clock)
    await tokens.key()
    write(path, "sk-22\n")
    clock.now += 80.0
    await tokens.key()
    assert exchange.asked == ["sk-1", "sk-22"]


# All endpoints ----------------------------------------------------------------------------------------------------


def settings(**values: Any) -> Settings:
    return Settings(**{"dashscope_url": "ws://127.0.0.1:1", "dashscope_api_key": "sk-own"} | values)


def config(model: Model, **values: Any) -> RecognitionConfig:
    return RecognitionConfig(model=model, audio=AudioFormat(), **values)


def model(chosen: Settings, name: str = V2) -> Model:
    return served_models(chosen, VENDORS).find(name)


async def test_a_call_is_shown_the_key_and_workspace_of_its_models_endpoint() -> None:
    chosen = settings(endpoints=LAB, models=[{"name": "new", "like": V2, "endpoint": "lab"}])
    keyring = Keyring(chosen)
    own, lab = (keyring.access(config(model(chosen, name))) for name in (V2, "new"))
    assert (await own.credential.key(), await lab.credential.key()) == ("sk-own", "sk-lab")
    assert own.headers("k") == {"Authorization": "Bearer k"}
    assert lab.headers("k") == {"Authorization": "Bearer k", "X-DashScope-WorkSpace": "ws-lab"}


async def test_a_callers_key_goes_with_the_callers_workspace_alone() -> None:
    chosen = settings(dashscope_workspace="ws-own", allow_caller_keys=True)
    access = Keyring(chosen).access(config(model(chosen), vendor_metadata=brought("sk-caller")))
    assert (await access.credential.key(), access.workspace, access.is_callers) == ("sk-caller", "", True)


def test_the_callers_workspace_is_part_of_the_host() -> None:
    chosen = settings(dashscope_url="wss://{workspace}.cn-beijing.maas.aliyuncs.com", allow_caller_keys=True)
    wanted = config(model(chosen), vendor_metadata=brought("sk-caller", "ws-1"))
    assert Keyring(chosen).access(wanted).url == "wss://ws-1.cn-beijing.maas.aliyuncs.com"


def test_a_host_made_of_the_workspace_needs_the_callers() -> None:
    chosen = settings(
        dashscope_url="wss://{workspace}.cn-beijing.maas.aliyuncs.com",
        dashscope_workspace="ws-own",
        allow_caller_keys=True,
    )
    with pytest.raises(InvalidRequest, match="x-dashscope-workspace beside x-dashscope-api-key"):
        Keyring(chosen).access(config(model(chosen), vendor_metadata=brought("sk-caller")))


def test_without_any_key_the_caller_is_asked_for_one() -> None:
    chosen = settings(dashscope_api_key=None, allow_caller_keys=True)
    with pytest.raises(Unauthenticated, match="send yours as metadata x-dashscope-api-key"):
        Keyring(chosen).access(config(model(chosen)))


def test_a_key_file_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="key file of endpoint dashscope: /nowhere cannot be read"):
        Keyring(settings(dashscope_api_key=None, dashscope_api_key_file="/nowhere"))


def test_a_callers_key_is_in_no_repr() -> None:
    wanted = config(EMBEDDED, vendor_metadata=brought("sk-caller", "ws-caller"))
    assert "caller" not in repr(wanted)


def test_no_repr_tells_a_key() -> None:
    chosen = settings(endpoints=LAB, allow_caller_keys=True)
    keyring = Keyring(chosen)
    access = keyring.access(config(model(chosen), vendor_metadata=brought("sk-caller")))
    told = f"{chosen!r} {keyring!r} {access!r} {FixedKey(SecretStr('sk-own'))!r} {Endpoint(name='a', url='ws://b')!r}"
    assert "sk-" not in told


# Tokens over HTTP -------------------------------------------------------------------------------------------------

WITH_TOKENS: dict[str, Any] = {"dashscope_temporary_tokens": True, "upstream_ready_timeout_seconds": 0.3}


async def token(chosen: Settings) -> str:
    async with Keyring(chosen) as keyring:
        return await keyring.access(config(model(chosen))).credential.key()


async def test_the_emulator_makes_a_token_of_the_right_key() -> None:
    async with running_emulator(EmulatorOptions(recognizer="markers", api_key="sk-own")) as vendor:
        assert (await token(settings(dashscope_url=vendor.url, **WITH_TOKENS))).startswith("st-")


async def test_a_wrong_key_gets_no_token() -> None:
    async with running_emulator(EmulatorOptions(recognizer="markers", api_key="sk-right")) as vendor:
        with pytest.raises(UpstreamRefused, match="makes no token") as caught:
            await token(settings(dashscope_url=vendor.url, **WITH_TOKENS))
    assert caught.value.upstream_code == "HTTP 401"


@asynccontextmanager
async def vendor_that(answer: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """A vendor whose token endpoint answers as it likes."""
    application = web.Application()
    application.router.add_post("/api/v1/tokens", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_what_is_asked_for_a_token() -> None:
    asked: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path_qs, request.headers["Authorization"], request.headers["X-DashScope-WorkSpace"]))
        return web.json_response({"token": "st-1", "expires_at": 1_795_170_000})

    async with vendor_that(answer) as url:
        chosen = settings(dashscope_url=url, dashscope_workspace="ws-1", dashscope_token_seconds=300, **WITH_TOKENS)
        assert await token(chosen) == "st-1"
    assert asked == [("/api/v1/tokens?expire_in_seconds=300", "Bearer sk-own", "ws-1")]


ANSWERS: dict[str, tuple[int, str, type[GatewayError]]] = {
    "403": (403, "{}", UpstreamRefused),
    "500": (500, "{}", UpstreamLost),
    "a redirect": (302, "", UpstreamLost),
    "no JSON": (200, "<html>", UpstreamLost),
    "no object": (200, "[]", UpstreamLost),
    "no token": (200, "{}", UpstreamLost),
    "an empty token": (200, '{"token": ""}', UpstreamLost),
    "a token of two lines": (200, '{"token": "st-1\\r\\nX-Other: 1"}', UpstreamLost),
    "a long answer": (200, '{"token": "' + 100_000 * "x" + '"}', UpstreamLost),
}


@pytest.mark.parametrize(("status", "body", "means"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_any_other_answer_is_an_error(status: int, body: str, means: type[GatewayError]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Location": "/elsewhere"} if status == 302 else None)

    async with vendor_that(answer) as url:
        with pytest.raises(means) as caught:
            await token(settings(dashscope_url=url, **WITH_TOKENS))
    assert caught.value.upstream_code == f"HTTP {status}"


async def test_a_vendor_that_never_answers_is_not_waited_for() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with vendor_that(answer) as url:
        with pytest.raises(UpstreamLost, match=r"no token within 0\.3 s"):
            await token(settings(dashscope_url=url, **WITH_TOKENS))


async def test_a_vendor_that_is_not_there_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamLost, match="cannot be reached for a token"):
        await token(settings(**WITH_TOKENS))
    assert "sk-own" not in caplog.text
