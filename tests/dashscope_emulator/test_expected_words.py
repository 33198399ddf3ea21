"""Hot words work: with them the real recogniser gets a word that it gets wrong without."""

from __future__ import annotations

from typing import Any

import pytest

from dashscope_emulator.expected_words import of_task, of_text
from dashscope_emulator.phrases import PhraseLists
from dashscope_emulator.task_requests import RunTask
from dashscope_emulator.vocabularies import Vocabularies

WITHOUT = "the castro was there when the sun rose"
WITH = "the Kestrel was there when the sun rose"


async def recognize(
    client: Any, sentences: Any, pcm: bytes, model: str, given: dict[str, Any] | None = None, **parameters: Any
) -> str:
    payload = {
        "task_group": "audio",
        "task": "asr",
        "function": "recognition",
        "model": model,
        "input": given or {},
        "parameters": {"format": "pcm", "sample_rate": 16_000, **parameters},
    }
    await client.send("run-task", payload)
    assert (await client.event())["header"]["event"] == "task-started"
    await client.audio(pcm)
    return " ".join(sentences.finals(await client.finish()))


@pytest.fixture
async def emulator(start: Any) -> Any:
    return await start(recognizer="pocketsphinx")


async def test_a_compiled_list_makes_its_words_likely(
    emulator: Any, connect: Any, sentences: Any, kestrel: bytes
) -> None:
    words: list[dict[str, object]] = [{"text": "Kestrel", "weight": 4}]
    made = emulator.vocabularies.create("demo", "paraformer-realtime-v2", words).vocabulary_id
    client = await connect(emulator)
    assert await recognize(client, sentences, kestrel, "paraformer-realtime-v2", vocabulary_id=made) == WITH
    client = await connect(emulator)
    assert await recognize(client, sentences, kestrel, "paraformer-realtime-v2") == WITHOUT
    client = await connect(emulator)
    assert await recognize(client, sentences, kestrel, "fun-asr-realtime", vocabulary_id=made) == WITHOUT


async def test_instant_words_are_likely(emulator: Any, connect: Any, sentences: Any, kestrel: bytes) -> None:
    model = "qwen-audio-3.0-asr-flash-streaming"
    assert await recognize(await connect(emulator), sentences, kestrel, model, vocabulary={"Kestrel": 4}) == WITH
    wrong = {"Kestrel": 4, "osprey": 7}
    assert await recognize(await connect(emulator), sentences, kestrel, model, vocabulary=wrong) == WITHOUT


async def test_words_of_the_context_are_likely(emulator: Any, connect: Any, sentences: Any, kestrel: bytes) -> None:
    context = {
        "context": [{"role": "user", "content": [{"type": "input_text", "text": "where does the Kestrel live"}]}]
    }
    assert await recognize(await connect(emulator), sentences, kestrel, "fun-asr-realtime", context) == WITH


def request(model: str, **more: Any) -> RunTask:
    return RunTask(task_id="t", model=model, parameters={}, **more)


def test_phrases_count_only_for_their_model() -> None:
    phrases = PhraseLists()
    made = phrases.compile("paraformer-realtime-v1", {"Kestrel": 3}, "now").phrase_id
    resources = ({"resource_id": made, "resource_type": "asr_phrase"},)
    expected = [
        of_task(request(model, resources=resources), Vocabularies(10), phrases)
        for model in ("paraformer-realtime-v1", "paraformer-realtime-8k-v1")
    ]
    assert expected == [{"Kestrel": 3}, {}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Kestrel, Ophiuchus; Dr Okonjo", ["Kestrel", "Ophiuchus", "Dr Okonjo"]),
        ("We talk about the Kestrel today.\nred fox", ["Kestrel", "red fox"]),
        ("红隼,狐狸", ["红隼", "狐狸"]),
    ],
)
def test_a_text_makes_its_list_and_its_names_likely(text: str, words: list[str]) -> None:
    assert list(of_text(text)) == words
