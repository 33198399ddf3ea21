"""Messages of the vendor's run-task dialect, as its manual shows them."""

from __future__ import annotations

import json
from typing import Any

TASK = "task-1"


def event(name: str, payload: dict[str, Any] | None = None, *, task_id: str = TASK, **header: str) -> str:
    return json.dumps(
        {"header": {"task_id": task_id, "event": name, "attributes": {}, **header}, "payload": payload or {}}
    )


def started(task_id: str = TASK) -> str:
    return event("task-started", task_id=task_id)


def finished(task_id: str = TASK) -> str:
    return event("task-finished", {"output": {}, "usage": None}, task_id=task_id)


def failed(code: str, message: str = "what the vendor says") -> str:
    return event("task-failed", error_code=code, error_message=message)


def word(text: str, begin_ms: int, end_ms: int, punctuation: str = "", **more: Any) -> dict[str, Any]:
    return {"begin_time": begin_ms, "end_time": end_ms, "text": text, "punctuation": punctuation, **more}


def interim(text: str, begin_ms: int | None = 170, *, words: list[dict[str, Any]] | None = None, **more: Any) -> str:
    sentence = {"begin_time": begin_ms, "end_time": None, "text": text, "words": words or [], "sentence_end": False}
    return event("result-generated", {"output": {"sentence": sentence | more}, "usage": None})


def final(
    text: str,
    begin_ms: int | None = 170,
    end_ms: int | None = 920,
    *,
    words: list[dict[str, Any]] | None = None,
    billed_seconds: int = 1,
    task_id: str = TASK,
    **more: Any,
) -> str:
    sentence = {"begin_time": begin_ms, "end_time": end_ms, "text": text, "words": words or [], "sentence_end": True}
    payload = {"output": {"sentence": sentence | more}, "usage": {"duration": billed_seconds}}
    return event("result-generated", payload, task_id=task_id)
