"""The hot-word API: the vendor's own SDK, unmodified, as its client, and the limits the vendor documents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from dashscope_emulator import Emulator

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

WORDS: list[dict[str, Any]] = [{"text": "Ophiuchus", "weight": 4, "lang": "en"}, {"text": "Kestrel", "weight": 5}]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make a `VocabularyService` for this emulator."""
    import dashscope  # noqa: PLC0415
    from dashscope.audio.asr import VocabularyService  # noqa: PLC0415

    def make(emulator: Emulator, key: str = "sk-test") -> Any:
        monkeypatch.setattr(dashscope, "base_http_api_url", f"{emulator.http_url}/api/v1")
        return VocabularyService(api_key=key)

    return make


async def test_a_list_is_created_queried_updated_and_deleted(start: Any, service: Any) -> None:
    client = service(await start())

    def run() -> None:
        made = client.create_vocabulary("fun-asr-realtime", "demo1", WORDS)
        assert made.startswith("vocab-demo1-")
        assert [item["vocabulary_id"] for item in client.list_vocabularies()] == [made]
        assert [item["status"] for item in client.list_vocabularies(prefix="demo1")] == ["OK"]
        assert client.list_vocabularies(prefix="other") == []
        assert client.list_vocabularies(page_index=1) == []
        found = client.query_vocabulary(made)
        assert (found["target_model"], found["vocabulary"]) == ("fun-asr-realtime", WORDS)
        client.update_vocabulary(made, WORDS[:1])
        assert client.query_vocabulary(made)["vocabulary"] == WORDS[:1]
        client.delete_vocabulary(made)
        assert client.list_vocabularies() == []
        assert len(client.get_last_request_id()) == 36

    await asyncio.to_thread(run)


async def test_a_list_is_used_by_a_task(start: Any, service: Any, connect: Any) -> None:
    emulator = await start()
    made = await asyncio.to_thread(service(emulator).create_vocabulary, "fun-asr-realtime", "demo1", WORDS)
    client = await connect(emulator)
    assert (await client.run(vocabulary_id=made))["header"]["event"] == "task-started"


REFUSALS: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "prefix": ("create_vocabulary", ("m", "Not a prefix", WORDS), "Status Code: 400, Code: InvalidParameter"),
    "no words": ("create_vocabulary", ("m", "a", []), "Status Code: 400, Code: InvalidParameter"),
    "query": ("query_vocabulary", ("vocab-a-1",), "Code: BadRequest.ResourceNotExist"),
    "update": ("update_vocabulary", ("vocab-a-1", WORDS), "Code: BadRequest.ResourceNotExist"),
    "delete": ("delete_vocabulary", ("vocab-a-1",), "Code: BadRequest.ResourceNotExist"),
}


@pytest.mark.parametrize(("method", "arguments", "message"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_the_sdk_raises_what_the_vendor_refuses(
    start: Any, service: Any, method: str, arguments: tuple[Any, ...], message: str
) -> None:
    client = service(await start())
    with pytest.raises(Exception, match=message):
        await asyncio.to_thread(getattr(client, method), *arguments)


async def test_an_account_has_ten_lists(start: Any, service: Any) -> None:
    client = service(await start())
    for _ in range(10):
        await asyncio.to_thread(client.create_vocabulary, "fun-asr-realtime", "a", WORDS)
    with pytest.raises(Exception, match=r"Throttling.AllocationQuota, Error Message: Free allocated quota"):
        await asyncio.to_thread(client.create_vocabulary, "fun-asr-realtime", "a", WORDS)


async def test_a_wrong_key_is_refused(start: Any, service: Any) -> None:
    client = service(await start(api_key="sk-right"), "sk-wrong")
    with pytest.raises(Exception, match="Status Code: 401, Code: InvalidApiKey"):
        await asyncio.to_thread(client.list_vocabularies)


@pytest.fixture
def phrases(monkeypatch: pytest.MonkeyPatch) -> Callable[[Emulator], Any]:
    """`AsrPhraseManager` on this emulator."""
    import dashscope  # noqa: PLC0415
    from dashscope.audio.asr import AsrPhraseManager  # noqa: PLC0415

    def use(emulator: Emulator) -> Any:
        monkeypatch.setattr(dashscope, "api_key", "sk-test")
        monkeypatch.setattr(dashscope, "base_http_api_url", f"{emulator.http_url}/api/v1")
        return AsrPhraseManager

    return use


async def test_phrases_are_created_queried_updated_and_deleted(start: Any, phrases: Any) -> None:
    client = phrases(await start())

    def run() -> None:
        made = client.create_phrases(model="paraformer-realtime-v1", phrases={"Kestrel": 4})
        assert (made.status_code, made.output["status"]) == (200, "SUCCEEDED")
        phrase_id = made.output["finetuned_output"]
        assert phrase_id.startswith("paraformer-realtime-v1-ft-")
        changed = client.update_phrases(model="paraformer-realtime-v1", phrase_id=phrase_id, phrases={"Kestrel": 5})
        assert changed.output["finetuned_output"] == phrase_id
        assert client.query_phrases(phrase_id).output["output_type"] == "custom_resource"
        listed = client.list_phrases().output["finetuned_outputs"]
        assert [item["finetuned_output"] for item in listed] == [phrase_id]
        assert client.delete_phrases(phrase_id).status_code == 200
        assert client.query_phrases(phrase_id).status_code == 404

    await asyncio.to_thread(run)


async def test_weights_of_phrases_are_limited(start: Any, phrases: Any) -> None:
    client = phrases(await start())
    made = await asyncio.to_thread(client.create_phrases, "paraformer-realtime-v1", {"Kestrel": 90})
    assert (made.status_code, made.code) == (400, "InvalidParameter")


async def test_a_bad_body_is_refused(start: Any, session: aiohttp.ClientSession) -> None:
    url = f"{(await start()).http_url}/api/v1/services/audio/asr/customization"
    async with session.post(url, data="{", headers={"Authorization": "Bearer k"}) as response:
        assert (response.status, (await response.json())["code"]) == (400, "InvalidParameter")
