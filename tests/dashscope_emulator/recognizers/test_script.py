"""Scripts: texts at given times, the clock in a text, and the workload of the load tests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dashscope_emulator.recognizers.base import Sentence, Word
from dashscope_emulator.recognizers.script import Script, load_script, load_workload, say

SPEECH_100_MS = b"\x01\x02" * 1600


async def test_the_workload_is_ten_words_each_300_ms_and_a_final_each_4_s(
    start: Any, connect: Any, sentences: Any
) -> None:
    client = await connect(await start())
    await client.run()
    for _ in range(80):
        await client.audio(SPEECH_100_MS)
    results = sentences.of(await client.finish())
    interims = list(range(200, 4000, 300))
    due = [s["words"][-1]["end_time"] for s in results]
    assert due == [*interims, 4000, *(4000 + ms for ms in interims), 8000]
    assert {len(s["words"]) for s in results} == {10}
    assert [s["sentence_end"] for s in results] == ([False] * 13 + [True]) * 2


async def test_the_workload_takes_30_ms(start: Any, connect: Any) -> None:
    client = await connect(await start())
    await client.run()
    await client.audio(SPEECH_100_MS)
    sent = time.monotonic()
    await client.audio(SPEECH_100_MS)
    await client.event()
    assert time.monotonic() - sent >= 0.03


async def test_a_text_may_hold_the_clock_of_its_sending(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start())
    await client.run()
    begun = time.monotonic_ns()
    await client.audio(SPEECH_100_MS * 2)
    (sentence,) = sentences.of([await client.event()])
    clock = sentence["text"].split()[0]
    assert begun < int(clock) < time.monotonic_ns()
    assert len(clock) == 19
    assert sentence["words"][0]["text"] == clock


def test_the_words_share_the_time() -> None:
    assert say(500, "你好 world!", begin_ms=100, fixed=1).sentence == Sentence(
        words=(
            Word(text="你好", begin_ms=100, end_ms=300, is_fixed=True),
            Word(text=" world", punctuation="!", begin_ms=300, end_ms=500),
        ),
        begin_ms=100,
        end_ms=500,
        is_final=False,
    )


def test_a_script_repeats_itself_later() -> None:
    line = load_workload().line(14 * 1000)
    assert line is not None
    assert (line.at_ms, line.sentence.begin_ms) == (4_000_200, 4_000_000)


def test_a_script_without_a_period_ends() -> None:
    assert Script(lines=(say(1, "a"),)).line(1) is None


FILE = """
delay_ms: 30
repeat_ms: 4000
events:
  - {at_ms: 200, text: "please open"}
  - {at_ms: 900, text: "please open the", fixed: 2}
  - {at_ms: 2000, text: "Please open the door.", begin_ms: 120, end_ms: 1700, final: true}
  - {at_ms: 2400, text: "thanks"}
"""


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(FILE)
    assert load_script(path) == Script(
        delay_ms=30,
        repeat_ms=4000,
        lines=(
            say(200, "please open"),
            say(900, "please open the", fixed=2),
            say(2000, "Please open the door.", begin_ms=120, end_ms=1700, final=True),
            say(2400, "thanks", begin_ms=1700),
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "events: Field required"),
        ("events: [{at_ms: 1}]", "events.0.text: Field required"),
        ("events: [{at_ms: 2, text: a}, {at_ms: 1, text: b}]", "in the order of at_ms"),
        ("repeat_ms: 1\nevents: [{at_ms: 2, text: a}]", "repeat_ms must not be below"),
        ("events: [{at_ms: -2, text: a}]", "events.0.at_ms: Input should be greater than or equal to 0"),
        ("events: [{at_ms: 2, text: a, loud: true}]", "events.0.loud: Unexpected keyword argument"),
    ],
)
def test_a_bad_script_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_script(path)
