"""What the emulator notes of tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashscope_emulator.journal import Journals, runs

SPEECH_100_MS = b"\x01\x02" * 1600


async def test_a_journal_has_what_the_client_sent_but_for_the_key(start: Any, connect: Any, payload: Any) -> None:
    emulator = await start()
    client = await connect(emulator, headers={"Authorization": "k", "X-DashScope-WorkSpace": "ws-1"})
    resources = [{"resource_id": "ph-1", "resource_type": "asr_phrase"}]
    await client.send("run-task", {**payload(heartbeat=True), "resources": resources})
    await client.event()
    journal = emulator.journals[-1]
    assert (journal.connection, journal.task, journal.task_id) == (1, 1, "t1")
    assert journal.parameters == {"format": "pcm", "sample_rate": 16000, "heartbeat": True}
    assert journal.resources == resources
    assert journal.headers["x-dashscope-workspace"] == "ws-1"
    assert "authorization" not in journal.headers


async def test_each_finished_task_adds_a_line_to_the_file(start: Any, connect: Any, tmp_path: Path) -> None:
    client = await connect(await start(journal=tmp_path / "tasks.jsonl"))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.finish()
    assert json.loads((tmp_path / "tasks.jsonl").read_text()) == {
        "connection": 1,
        "task": 1,
        "model": "fun-asr-realtime",
        "packets": 1,
        "audio_ms": 100,
        "blocks": [],
        "silent_bytes": 0,
        "damaged_bytes": 0,
        "outcome": "finished",
    }


async def test_the_journal_of_a_task_long_ago_is_gone() -> None:
    journals = Journals(None)
    for _ in range(1001):
        journals.begin(1, "t", "m")
    assert (await journals.begun(2)).task == 2
    with pytest.raises(LookupError, match="task 1 is no longer kept"):
        await journals.begun(1)


def test_numbers_become_runs() -> None:
    assert runs([5, 6, 7, 0, 1, 1]) == [(5, 3), (0, 2), (1, 1)]
    assert runs([]) == []
