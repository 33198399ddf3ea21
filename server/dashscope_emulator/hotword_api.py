"""The vendor's HTTP API for hot words: compiled vocabularies, and the phrase lists of the first models."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from dashscope_emulator.knobs import Knobs
from dashscope_emulator.phrases import PhraseList, PhraseLists
from dashscope_emulator.rest import RestError, invalid
from dashscope_emulator.vocabularies import Vocabularies, Vocabulary

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_MODEL: Final = "speech-biasing"
_TRAINING: Final = "compile_asr_phrase"


class HotwordApi:
    """The routes of the API; the server has checked the key already.

    Args:
        vocabularies: The compiled lists.
        phrases: The lists of the first models.
        knobs: How it behaves.
    """

    def __init__(self, vocabularies: Vocabularies, phrases: PhraseLists, knobs: Knobs) -> None:
        self._knobs = knobs
        self._vocabularies = vocabularies
        self._phrases = phrases
        self._actions: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "create_vocabulary": self._create,
            "list_vocabulary": self._list,
            "query_vocabulary": self._query,
            "update_vocabulary": self._update,
            "delete_vocabulary": self._delete,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return its routes."""
        return [
            web.post("/api/v1/services/audio/asr/customization", self._with_knobs(self._customize)),
            web.post("/api/v1/fine-tunes", self._with_knobs(self._compile_phrases)),
            web.get("/api/v1/fine-tunes/outputs", self._with_knobs(self._list_phrases)),
            web.get("/api/v1/fine-tunes/outputs/{phrase_id}", self._with_knobs(self._query_phrases)),
            web.delete("/api/v1/fine-tunes/outputs/{phrase_id}", self._with_knobs(self._delete_phrases)),
        ]

    def _with_knobs(self, handle: Handler) -> Handler:
        """Return the handler, slow or failing as the knobs want."""

        async def handle_with_knobs(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(self._knobs.hotword_seconds)
            if self._knobs.hotword_status:
                raise RestError(self._knobs.hotword_status)
            return await handle(request)

        return handle_with_knobs

    async def _customize(self, request: web.Request) -> web.Response:
        body = await _body(request)
        given = body.get("input")
        if body.get("model") != _MODEL or not isinstance(given, dict):
            raise invalid(f"model must be {_MODEL} and input an object.")
        action = self._actions.get(str(given.get("action")))
        if action is None:
            raise invalid("Unknown action.")
        return _success(action(given))

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        prefix, target = str(given.get("prefix", "")), str(given.get("target_model", ""))
        return {"vocabulary_id": self._vocabularies.create(prefix, target, _words(given)).vocabulary_id}

    def _list(self, given: dict[str, Any]) -> dict[str, Any]:
        index, size = _page(given.get("page_index", 0), given.get("page_size", 10))
        found = self._vocabularies.page(given.get("prefix"), index, size)
        return {"vocabulary_list": [{"vocabulary_id": v.vocabulary_id, **_state(v)} for v in found]}

    def _query(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self._vocabularies.query(str(given.get("vocabulary_id")))
        return {**_state(found), "target_model": found.target_model, "vocabulary": list(found.words)}

    def _update(self, given: dict[str, Any]) -> dict[str, Any]:
        self._vocabularies.update(str(given.get("vocabulary_id")), _words(given))
        return {}

    def _delete(self, given: dict[str, Any]) -> dict[str, Any]:
        self._vocabularies.delete(str(given.get("vocabulary_id")))
        return {}

    async def _compile_phrases(self, request: web.Request) -> web.Response:
        body = await _body(request)
        parameters = body.get("hyper_parameters")
        if body.get("training_type") != _TRAINING or not isinstance(parameters, dict):
            raise invalid(f"training_type must be {_TRAINING}.")
        phrase_id = body.get("finetuned_output")
        compiled = self._phrases.compile(
            str(body.get("model", "")),
            parameters.get("phrase_list"),
            datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            phrase_id if phrase_id is None else str(phrase_id),
        )
        job = {"job_id": compiled.job_id, "status": "SUCCEEDED", "training_type": _TRAINING}
        return _success({**job, **_shown(compiled)})

    async def _list_phrases(self, request: web.Request) -> web.Response:
        number, size = _page(request.query.get("page_no", "1"), request.query.get("page_size", "10"))
        found = self._phrases.page(number, size)
        page = {"page_no": number, "page_size": size, "total": len(self._phrases)}
        return _success({**page, "finetuned_outputs": [_shown(item) for item in found]})

    async def _query_phrases(self, request: web.Request) -> web.Response:
        return _success(_shown(self._phrases.query(request.match_info["phrase_id"])))

    async def _delete_phrases(self, request: web.Request) -> web.Response:
        self._phrases.delete(request.match_info["phrase_id"])
        return _success({})


def _state(vocabulary: Vocabulary) -> dict[str, str]:
    return {"gmt_create": vocabulary.created, "gmt_modified": vocabulary.modified, "status": "OK"}


def _shown(phrases: PhraseList) -> dict[str, str]:
    return {
        "finetuned_output": phrases.phrase_id,
        "model": phrases.model,
        "create_time": phrases.created,
        "output_type": "custom_resource",
    }


def _words(given: dict[str, Any]) -> list[dict[str, object]]:
    words = given.get("vocabulary")
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        raise invalid("vocabulary must be a list of objects.")
    return words


def _page(index: object, size: object) -> tuple[int, int]:
    """Return number and size of a page; a query has them as text."""
    numbers = [int(item) if isinstance(item, str) and _NUMBER.fullmatch(item) else item for item in (index, size)]
    match numbers:
        case [int(index), int(size)] if index >= 0 and size >= 1:
            return index, size
    raise invalid("a page needs a number and a size.")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (ValueError, LookupError, RecursionError):  # no JSON, no such charset, too deep
        return {}
    return body if isinstance(body, dict) else {}


def _success(output: dict[str, Any]) -> web.Response:
    return web.json_response({"output": output, "usage": {"count": 1}, "request_id": str(uuid.uuid4())})
