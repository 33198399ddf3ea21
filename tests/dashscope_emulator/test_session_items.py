"""What becomes of sentences in a session, event by event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashscope_emulator.faults import FailItem
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.recognizers.base import Sentence
from dashscope_emulator.recognizers.script import say
from dashscope_emulator.session_items import SessionItems
from dashscope_emulator.session_messages import SessionMessages

INTERIM = say(500, "please open", begin_ms=100, fixed=1).sentence
FINAL = say(1000, "Please open.", begin_ms=100, end_ms=900, final=True).sentence


@pytest.fixture
def items() -> SessionItems:
    return SessionItems(SessionMessages("sess_1", "m", Knobs()), Knobs())


def events(items: SessionItems, sentence: Sentence) -> list[Any]:
    return [json.loads(text) for text in items.update(sentence, "en", 1)]


def kinds(found: list[Any]) -> list[str]:
    return [event["type"].rpartition(".")[2] for event in found]


def test_a_sentence_is_an_item_from_started_to_completed(items: SessionItems) -> None:
    assert kinds(events(items, INTERIM)) == ["speech_started", "text"]
    assert items.begin_ms == 100
    assert kinds(events(items, FINAL)) == ["speech_stopped", "committed", "created", "completed"]
    assert items.begin_ms is None


def test_confirmed_text_only_grows(items: SessionItems) -> None:
    *_, first = events(items, INTERIM)
    (second,) = events(items, say(600, "peas open", begin_ms=100).sentence)
    assert [(event["text"], event["stash"]) for event in (first, second)] == [("please", " open"), ("please", "pen")]


def test_each_item_names_the_one_before(items: SessionItems) -> None:
    first, second = [event for _ in range(2) for event in events(items, FINAL) if event["type"].endswith("committed")]
    assert second["previous_item_id"] == first["item_id"]


def test_a_commit_takes_all_finals(items: SessionItems) -> None:
    for sentence in (INTERIM, FINAL, FINAL):
        items.keep(sentence)
    *_, completed = [json.loads(text) for text in items.commit("en", 1)]
    assert (completed["transcript"], items.finals) == ("Please open. Please open.", [])


def test_a_cleared_item_never_completes(items: SessionItems) -> None:
    events(items, INTERIM)
    items.clear()
    assert items.begin_ms is None


def test_a_failure_is_of_the_next_item_only(items: SessionItems) -> None:
    items.failures.append(FailItem())
    assert [kinds(events(items, FINAL))[-1] for _ in range(2)] == ["failed", "completed"]
