"""Tables of hot words on the vendor's own SDK, against the emulator."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from asrgateway_server.config import Adaptation, Hotword, RecognitionConfig
from asrgateway_server.errors import (
    GatewayError,
    Unauthenticated,
    UnsupportedOption,
    UpstreamRefused,
    UpstreamUnavailable,
)
from asrgateway_server.events import OptionWarning, WarningCode
from asrgateway_server.vendors.dashscope.hotwords.content import prefix_of
from asrgateway_server.vendors.dashscope.hotwords.preparation import HotwordPreparation
from caller_keys import brought
from dashscope_emulator import hotword_api, vocabularies
from vendors.dashscope.hotwords.conftest import Account, call

FIELD = "streaming_config.adaptation.hotwords"
BIRDS = ("Kestrel", "osprey")


async def table_of(gateway: HotwordPreparation, config: RecognitionConfig) -> str:
    """The table that a call gets, which must get one."""
    async with gateway.prepared(config) as (prepared, warnings):
        assert warnings == ()
        assert prepared.adaptation.hotwords == ()
        return prepared.adaptation.vocabulary_id


async def warnings_of(gateway: HotwordPreparation, config: RecognitionConfig) -> tuple[OptionWarning, ...]:
    async with gateway.prepared(config) as (prepared, warnings):
        assert prepared.adaptation.hotwords == ()
        return warnings


async def refused_call(gateway: HotwordPreparation, config: RecognitionConfig) -> None:
    async with gateway.prepared(config):
        raise UpstreamRefused("no such table")


def later(seconds: float) -> Callable[[], float]:
    """A clock that is ahead."""
    return lambda: time.time() + seconds


@pytest.mark.parametrize("model", ["fun-asr-realtime", "fun-asr-flash-8k-realtime", "paraformer-realtime-v2"])
async def test_hot_words_become_a_table_of_their_model(account: Account, model: str) -> None:
    await account.open()
    gateway = await account.gateway()
    config = call(*BIRDS, model=model)
    made = await table_of(gateway, config)
    table = account.vendor.vocabularies.query(made)
    assert table.target_model == model
    assert list(table.words) == [{"text": "Kestrel", "weight": 4}, {"text": "osprey", "weight": 4}]


async def test_first_models_get_a_phrase_list(account: Account) -> None:
    await account.open()
    gateway = await account.gateway()
    first = await table_of(gateway, call(*BIRDS, model="paraformer-realtime-v1"))
    second = await table_of(gateway, call(*BIRDS, model="paraformer-realtime-v1"))
    assert first == second
    assert account.vendor.phrases.words(first, "paraformer-realtime-v1") == {"Kestrel": 4, "osprey": 4}
    assert len(account.vendor.phrases) == 1


@pytest.mark.parametrize("model", ["qwen-audio-3.0-asr-flash-streaming", "qwen3-asr-flash-realtime"])
async def test_other_models_need_no_preparation(account: Account, model: str) -> None:
    await account.open()
    gateway = await account.gateway()
    config = call(*BIRDS, model=model)
    async with gateway.prepared(config) as prepared:
        assert prepared == (config, ())
    assert account.tables == []


async def test_a_call_without_hot_words_asks_nothing(account: Account) -> None:
    await account.open(hotword_status=500)
    gateway = await account.gateway(hotword_failures="fail")
    config = call()
    async with gateway.prepared(config) as prepared:
        assert prepared == (config, ())


async def test_a_hundred_calls_with_one_list_make_one_table(account: Account) -> None:
    await account.open(hotword_seconds=0.05)
    gateway = await account.gateway()
    ids = await asyncio.gather(*(table_of(gateway, call(*BIRDS)) for _ in range(100)))
    assert set(ids) == set(account.tables)
    assert len(account.tables) == 1


async def test_gateways_find_each_others_tables(account: Account) -> None:
    await account.open()
    first, second = await account.gateway(), await account.gateway()
    assert await table_of(first, call(*BIRDS)) == await table_of(second, call(*reversed(BIRDS)))
    assert len(account.tables) == 1


async def test_words_that_differ_in_their_region_only_are_found_again(account: Account) -> None:
    await account.open()
    codes = ("en-US", "en-GB", "en")
    words = tuple(Hotword(text="Kestrel", language_code=code) for code in codes)
    config = replace(call(), adaptation=Adaptation(hotwords=words))
    tables = {await table_of(await account.gateway(), config) for _ in range(3)}
    assert tables == set(account.tables)
    assert len(tables) == 1


class Compiler:
    """Decides which of the vendor's tables are compiled, as its answers show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_done = False
        state = hotword_api._state
        monkeypatch.setattr(
            hotword_api, "_state", lambda table: state(table) | ({} if self.is_done else {"status": "UNDEPLOYED"})
        )


async def test_a_table_that_is_still_compiled_is_waited_for_and_not_made_again(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await account.open()
    compiler = Compiler(monkeypatch)
    first, second = [await account.gateway(hotword_timeout_seconds=0.5) for _ in range(2)]
    assert "did not compile" in (await warnings_of(first, call(*BIRDS)))[0].message
    assert "did not compile" in (await warnings_of(second, call(*BIRDS)))[0].message
    # Who has waited in vain waits no more.
    assert "is still compiling" in (await warnings_of(first, call(*BIRDS)))[0].message
    compiler.is_done = True
    assert [await table_of(gateway, call(*BIRDS)) for gateway in (first, second)] == account.tables * 2
    assert len(account.tables) == 1


async def test_a_table_of_the_name_but_other_words_is_not_taken(account: Account) -> None:
    await account.open()
    gateway = await account.gateway()
    prefix = prefix_of(await table_of(gateway, call(*BIRDS)))
    account.vendor.vocabularies.delete(account.tables[0])
    account.vendor.vocabularies.create(prefix, "fun-asr-realtime", [{"text": "kite", "weight": 4}])
    other = await account.gateway()
    assert await table_of(other, call(*BIRDS)) == account.tables[1]


async def test_a_table_is_looked_up_again_after_a_while(account: Account) -> None:
    await account.open()
    ahead = 0.0
    gateway = await account.gateway(clock=lambda: time.time() + ahead)
    gone = await table_of(gateway, call(*BIRDS))
    account.vendor.vocabularies.delete(gone)
    assert await table_of(gateway, call(*BIRDS)) == gone
    ahead = 61.0
    assert await table_of(gateway, call(*BIRDS)) != gone


async def test_a_table_that_the_vendor_refuses_is_looked_up_again(account: Account) -> None:
    await account.open()
    gateway = await account.gateway()
    gone = await table_of(gateway, call(*BIRDS))
    account.vendor.vocabularies.delete(gone)
    with pytest.raises(UpstreamRefused):
        await refused_call(gateway, call(*BIRDS))
    assert await table_of(gateway, call(*BIRDS)) != gone


async def test_a_call_that_leaves_early_spoils_nothing_for_the_others(account: Account) -> None:
    await account.open(hotword_seconds=0.05)
    gateway = await account.gateway()
    first = asyncio.create_task(table_of(gateway, call(*BIRDS)))
    second = asyncio.create_task(table_of(gateway, call(*BIRDS)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == account.tables[0]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_gateway_that_stops_waits_for_no_table(account: Account) -> None:
    await account.open(hotword_seconds=0.5)
    gateway = await account.gateway()
    waiting = asyncio.create_task(table_of(gateway, call(*BIRDS)))
    await asyncio.sleep(0)
    await gateway.__aexit__(None, None, None)
    with pytest.raises(asyncio.CancelledError):
        await waiting


# When it cannot be --------------------------------------------------------------------------------------------------

FAILURES: list[tuple[dict[str, Any], dict[str, Any], type[GatewayError], str]] = [
    ({"hotword_status": 500}, {}, UpstreamUnavailable, "failed"),
    ({"hotword_status": 429}, {}, UpstreamUnavailable, "limits the rate"),
    ({"hotword_status": 403}, {}, UpstreamRefused, "rejected the gateway's key"),
    ({"vocabulary_lists": 0}, {}, UpstreamRefused, "as many hot-word tables"),
    ({"hotword_seconds": 0.6}, {"hotword_timeout_seconds": 0.2}, UpstreamUnavailable, "within 0.2 s"),
    ({}, {"dashscope_url": "ws://127.0.0.1:1"}, UpstreamUnavailable, "cannot be reached"),
    ({}, {"dashscope_api_key": "sk-wrong"}, UpstreamRefused, "rejected the gateway's key"),
]


@pytest.mark.parametrize(
    ("knobs", "settings", "message"), [(knobs, settings, message) for knobs, settings, _, message in FAILURES]
)
async def test_a_failure_is_a_warning_and_the_call_goes_on(
    account: Account, knobs: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    await account.open(**knobs)
    gateway = await account.gateway(**settings)
    (notice,) = await warnings_of(gateway, call(*BIRDS))
    assert (notice.code, notice.field) == (WarningCode.OPTION_IGNORED, FIELD)
    assert message in notice.message
    assert notice.message.endswith("; the call goes on without its hot words")


@pytest.mark.parametrize("is_strict", [True, False])
@pytest.mark.parametrize(("knobs", "settings", "error", "message"), FAILURES)
async def test_a_failure_ends_the_call_where_operator_or_caller_insist(
    account: Account,
    knobs: dict[str, Any],
    settings: dict[str, Any],
    error: type[GatewayError],
    message: str,
    is_strict: bool,
) -> None:
    await account.open(**knobs)
    gateway = await account.gateway(**settings, hotword_failures="warn" if is_strict else "fail")
    with pytest.raises(error, match=message):
        await warnings_of(gateway, call(*BIRDS, is_strict=is_strict))


async def test_a_phrase_list_fails_likewise(account: Account) -> None:
    await account.open(hotword_status=500)
    gateway = await account.gateway()
    (notice,) = await warnings_of(gateway, call(*BIRDS, model="paraformer-realtime-v1"))
    assert "the vendor's hot-word service failed" in notice.message


@pytest.mark.parametrize("failures", ["warn", "fail"])
async def test_without_tables_a_call_goes_on_with_a_warning(account: Account, failures: str) -> None:
    await account.open()
    gateway = await account.gateway(hotword_tables="off", hotword_failures=failures)
    (notice,) = await warnings_of(gateway, call(*BIRDS))
    assert "its operator can set hotword_tables" in notice.message
    with pytest.raises(UnsupportedOption):
        await warnings_of(gateway, call(*BIRDS, is_strict=True))
    assert account.tables == []


async def test_a_stored_table_goes_before_hot_words(account: Account) -> None:
    await account.open()
    gateway = await account.gateway()
    config = call(*BIRDS)
    config = replace(config, adaptation=replace(config.adaptation, vocabulary_id="vocab-mine-1"))
    async with gateway.prepared(config) as (prepared, warnings):
        assert prepared.adaptation.vocabulary_id == "vocab-mine-1"
        assert prepared.adaptation.hotwords == ()
        assert "the stored table goes before" in warnings[0].message
    assert account.tables == []


# Recycling ----------------------------------------------------------------------------------------------------------


async def test_create_deletes_nothing(account: Account) -> None:
    await account.open(vocabulary_lists=1)
    gateway = await account.gateway(hotword_table_age_seconds=0, clock=later(86_400))
    kept = await table_of(gateway, call("Kestrel"))
    assert await warnings_of(gateway, call("osprey"))
    assert account.tables == [kept]


async def test_thirty_lists_never_exceed_the_limit(account: Account) -> None:
    await account.open()
    gateway = await account.gateway(hotword_tables="recycle", hotword_table_age_seconds=0)
    for number in range(30):
        made = await table_of(gateway, call(f"word{number}"))
        assert account.tables[-1] == made
        assert len(account.tables) == min(number + 1, 10)


async def test_the_least_recently_used_table_makes_room(account: Account) -> None:
    await account.open(vocabulary_lists=2)
    ahead = 0.0
    gateway = await account.gateway(
        hotword_tables="recycle", hotword_table_age_seconds=10, clock=lambda: time.time() + ahead
    )
    older, newer = await table_of(gateway, call("Kestrel")), await table_of(gateway, call("osprey"))
    ahead = 20.0
    assert await table_of(gateway, call("Kestrel")) == older
    made = await table_of(gateway, call("kite"))
    assert account.tables == [older, made]
    assert newer not in account.tables


async def test_a_young_table_is_kept(account: Account) -> None:
    await account.open(vocabulary_lists=1)
    gateway = await account.gateway(hotword_tables="recycle", hotword_table_age_seconds=3600)
    kept = await table_of(gateway, call("Kestrel"))
    (notice,) = await warnings_of(gateway, call("osprey"))
    assert "as many hot-word tables" in notice.message
    assert account.tables == [kept]


async def test_a_table_of_a_running_call_is_kept(account: Account) -> None:
    await account.open(vocabulary_lists=1)
    gateway = await account.gateway(hotword_tables="recycle", hotword_table_age_seconds=0)
    async with gateway.prepared(call("Kestrel")) as (prepared, _):
        assert await warnings_of(gateway, call("osprey"))
        assert account.tables == [prepared.adaptation.vocabulary_id]
    await table_of(gateway, call("osprey"))
    assert len(account.tables) == 1


@pytest.mark.parametrize("prefix", ["demo1", "gateway", "g1234567", "h12345678", "g123456789"])
async def test_foreign_tables_are_never_touched(account: Account, prefix: str) -> None:
    await account.open(vocabulary_lists=1)
    foreign = account.vendor.vocabularies.create(prefix, "fun-asr-realtime", [{"text": "kite", "weight": 4}])
    gateway = await account.gateway(hotword_tables="recycle", hotword_table_age_seconds=0, clock=later(86_400))
    assert await warnings_of(gateway, call("osprey"))
    assert account.tables == [foreign.vocabulary_id]


async def test_another_gateways_old_table_makes_room(account: Account) -> None:
    await account.open(vocabulary_lists=1)
    other = await account.gateway()
    older = await table_of(other, call("Kestrel"))
    gateway = await account.gateway(hotword_tables="recycle", clock=later(3601))
    made = await table_of(gateway, call("osprey"))
    assert account.tables == [made]
    assert made != older


class World:
    """The clock of gateways and vendor, and what the vendor is asked.

    Attributes:
        ahead_seconds: How far it is ahead of the real one.
        updates: Which table was written anew, and when.
    """

    def __init__(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_seconds = 0.0
        self.updates: list[tuple[str, float]] = []
        self._asked = asyncio.Event()
        self._lists = account.vendor.vocabularies
        self._page, self._update = self._lists.page, self._lists.update
        monkeypatch.setattr(vocabularies, "_now", self._written)
        monkeypatch.setattr(self._lists, "update", self._updated)
        monkeypatch.setattr(self._lists, "page", self._listed)

    def now(self) -> float:
        return time.time() + self.ahead_seconds

    async def until_updated(self, *tables: str) -> None:
        """Wait until each has been written anew at this time."""
        while not {(table, self.ahead_seconds) for table in tables} <= set(self.updates):
            await self._next_question()

    async def until_looked(self) -> None:
        """Wait for whatever a look of one gateway at its tables leads to."""
        for _ in range(3):
            await self._next_question()

    async def _next_question(self) -> None:
        self._asked.clear()
        await self._asked.wait()

    def _written(self) -> str:
        return f"{datetime.fromtimestamp(self.now(), UTC):%Y-%m-%d %H:%M:%S}"

    def _updated(self, vocabulary_id: str, words: list[dict[str, object]]) -> None:
        self._update(vocabulary_id, words)
        self.updates.append((vocabulary_id, self.ahead_seconds))
        self._asked.set()

    def _listed(self, prefix: str | None, index: int, size: int) -> list[vocabularies.Vocabulary]:
        self._asked.set()
        return self._page(prefix, index, size)


async def test_gateways_that_recycle_leave_each_other_what_is_in_use(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a call that lasts for five hours; the account has room for two tables, and one call more comes."""
    await account.open(vocabulary_lists=2)
    world = World(account, monkeypatch)
    first, second = [
        await account.gateway(clock=world.now, look_seconds=0.01, hotword_tables="recycle") for _ in range(2)
    ]
    async with first.prepared(call("Kestrel")) as (kestrel, _), second.prepared(call("osprey")) as (osprey, _):
        both = [kestrel.adaptation.vocabulary_id, osprey.adaptation.vocabulary_id]
        for _ in range(10):
            world.ahead_seconds += 1800
            await world.until_updated(*both)
            for gateway in (first, second):
                (notice,) = await warnings_of(gateway, call("kite"))
                assert "as many hot-word tables" in notice.message
        assert account.tables == both
    for gateway in (first, second):
        await gateway.__aexit__(None, None, None)
    world.ahead_seconds += 3700
    third = await account.gateway(clock=world.now, hotword_tables="recycle")
    made = await table_of(third, call("kite"))
    assert account.tables in ([both[0], made], [both[1], made])


async def test_a_table_is_written_anew_no_more_often_than_the_vendor_wants(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await account.open()
    world = World(account, monkeypatch)
    young = {"hotword_tables": "recycle", "hotword_table_age_seconds": 0}
    gateway = await account.gateway(clock=world.now, look_seconds=0.01, **young)
    async with gateway.prepared(call("Kestrel")):
        for ahead_seconds in (0, 250, 400, 650, 800):
            world.ahead_seconds = ahead_seconds
            await world.until_looked()
    assert [ahead_seconds for _, ahead_seconds in world.updates] == [400, 800]


async def test_a_gateway_that_never_deletes_writes_nothing_anew(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await account.open()
    world = World(account, monkeypatch)
    gateway = await account.gateway(clock=world.now, look_seconds=0.01)
    async with gateway.prepared(call("Kestrel")):
        world.ahead_seconds = 10_000
        await table_of(gateway, call("Kestrel"))
    assert world.updates == []


# Callers' own keys --------------------------------------------------------------------------------------------------


async def test_a_callers_key_leads_to_no_table_of_anybody_else(account: Account) -> None:
    await account.open(api_key=None)
    gateway = await account.gateway()
    gone = await table_of(gateway, call(*BIRDS))
    account.vendor.vocabularies.delete(gone)
    of_one = await table_of(gateway, call(*BIRDS, vendor_metadata=brought("sk-one")))
    assert of_one != gone
    account.vendor.vocabularies.delete(of_one)
    assert await table_of(gateway, call(*BIRDS, vendor_metadata=brought("sk-two"))) != of_one
    assert await table_of(gateway, call(*BIRDS, vendor_metadata=brought("sk-one"))) == of_one


async def test_nothing_is_deleted_with_a_callers_key(account: Account) -> None:
    await account.open(api_key=None, vocabulary_lists=1)
    gateway = await account.gateway(hotword_tables="recycle", hotword_table_age_seconds=0)
    kept = await table_of(gateway, call("Kestrel", vendor_metadata=brought("sk-one")))
    assert await warnings_of(gateway, call("osprey", vendor_metadata=brought("sk-one")))
    assert account.tables == [kept]


async def test_a_callers_bad_key_is_the_callers_affair(account: Account) -> None:
    await account.open()
    gateway = await account.gateway(hotword_failures="fail")
    with pytest.raises(Unauthenticated):
        await warnings_of(gateway, call(*BIRDS, vendor_metadata=brought("sk-wrong")))


# Secrets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["fun-asr-realtime", "paraformer-realtime-v1"])
@pytest.mark.parametrize("knobs", [{}, {"hotword_status": 500}, {"vocabulary_lists": 0}])
async def test_hot_words_and_keys_stand_nowhere(
    account: Account, model: str, knobs: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await account.open(**knobs)
    gateway = await account.gateway(hotword_failures="fail")
    told = ""
    try:
        async with gateway.prepared(call("Zyzzyva", model=model)) as prepared:
            told = repr(prepared)
    except GatewayError as error:
        told = repr(error)
    written = told + "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "Zyzzyva" not in written
    assert "sk-test" not in written


def test_hot_words_stand_in_no_repr_of_a_call() -> None:
    assert "Zyzzyva" not in repr(call("Zyzzyva"))
    assert "Zyzzyva" not in repr(Hotword(text="Zyzzyva"))
