"""The vendor's hot-word services through its own SDK: blocking calls, and its errors in our words.

Importing this costs 0.4 s and 62 MB: the service does so on first use. Key, URL and workspace go with each call; of the
SDK's module globals only one is touched, by the SDK itself, under a lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

import requests
from dashscope.audio.asr import AsrPhraseManager, VocabularyService
from dashscope.audio.asr.vocabulary import VocabularyServiceException
from dashscope.client import base_api

from asrgateway_server.errors import GatewayError, UpstreamRefused, UpstreamUnavailable
from asrgateway_server.vendors.dashscope.error_codes import hotword_error
from asrgateway_server.vendors.dashscope.hotwords.account import Account
from asrgateway_server.vendors.dashscope.hotwords.content import Content

_PAGE_SIZE: Final = 10
_MAX_PAGES: Final = 100

# At DEBUG, and when it fails, it would log what it sends: hot words.
logging.getLogger("dashscope").disabled = True

#: The SDK's phrase manager sets a global path for the time of each of its calls.
_phrase_lock = threading.Lock()


class _Unreachable(Exception):
    """No answer came; of another class than the SDK's own, which it answers with three more tries, 2 s apart."""


class _Redirected(Exception):
    """The vendor would have the request sent elsewhere; also of another class than the SDK's own."""


class _StayingSession(requests.Session):
    """Follows the vendor nowhere else, with the hot words and the key."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = 0

    def request(self, *arguments: Any, **options: Any) -> requests.Response:  # Any: the library's own
        """Send a request; see ``requests.Session``."""
        try:
            return super().request(*arguments, **options)
        except requests.TooManyRedirects as error:
            raise _Redirected from error


# The SDK makes the sessions of its phrase manager itself; by this name it finds the library.
vars(base_api)["requests"] = SimpleNamespace(**vars(requests) | {"Session": _StayingSession})


class _Session(_StayingSession):
    """Gives up at once, and keeps no connection that a proxy may have dropped meanwhile."""

    def __init__(self, ca_file: str) -> None:
        super().__init__()
        self.headers["Connection"] = "close"
        if ca_file:
            self.verify = ca_file

    def request(self, *arguments: Any, **options: Any) -> requests.Response:  # Any: the library's own
        """Send a request; see ``requests.Session``."""
        try:
            return super().request(*arguments, **options)
        except (requests.Timeout, requests.ConnectionError) as error:
            raise _Unreachable from error


class VendorSdk:
    """Blocking calls; each raises a GatewayError.

    Args:
        account: Whose tables they are.
        key: Its key, or a token.
        ca_file: Certificates in PEM that the vendor's one is checked against; empty: the system's.
        timeout_seconds: How long a request may take.
    """

    def __init__(self, account: Account, key: str, *, ca_file: str, timeout_seconds: float) -> None:
        self._account = account
        self._key = key
        self._ca_file = ca_file
        self._timeout_seconds = timeout_seconds
        self._workspace = account.workspace or None

    def create(self, content: Content) -> str:
        """Compile a table; return its id."""
        return str(self._ask("create_vocabulary", content.model, content.prefix, _rows(content)))

    def update(self, vocabulary_id: str, content: Content) -> None:
        """Replace what a table holds."""
        self._ask("update_vocabulary", vocabulary_id, _rows(content))

    def tables(self, prefix: str | None = None) -> list[Mapping[str, object]]:
        """Return all tables of the account, or those of a prefix: ``vocabulary_id``, ``status``, ``gmt_modified``."""
        found: list[Mapping[str, object]] = []
        for page in range(_MAX_PAGES):
            rows = self._ask("list_vocabularies", prefix, page, _PAGE_SIZE)
            found += rows
            if len(rows) < _PAGE_SIZE:
                break
        return found

    def table(self, vocabulary_id: str) -> Mapping[str, Any]:
        """Return a table: ``status``, ``target_model``, ``vocabulary``."""
        shown: Mapping[str, Any] = self._ask("query_vocabulary", vocabulary_id)
        return shown

    def delete(self, vocabulary_id: str) -> None:
        """Delete a table."""
        self._ask("delete_vocabulary", vocabulary_id)

    def compile_phrases(self, content: Content) -> str:
        """Compile a phrase list for a model of the first generation; return its id."""
        with _phrase_lock:
            try:
                answer = AsrPhraseManager.create_phrases(
                    model=content.model,
                    phrases={entry.text: entry.weight for entry in content.entries},
                    workspace=self._workspace,  # type: ignore[arg-type] # its default is None too
                    api_key=self._key,
                    base_address=self._account.http_url,
                    request_timeout=self._timeout_seconds,
                )
            except Exception as error:  # noqa: BLE001 the SDK raises whatever happens within it
                raise _error_for(error) from None
        if answer.status_code != 200:
            raise hotword_error(answer.status_code, answer.code, answer.request_id)
        return _phrase_id(answer.output)

    def _ask(self, action: str, *arguments: object) -> Any:  # Any: each action has an answer of its own
        with _Session(self._ca_file) as session:
            service = VocabularyService(
                api_key=self._key,
                workspace=self._workspace,
                base_address=self._account.http_url,
                request_timeout=self._timeout_seconds,
                session=session,
            )
            try:
                return getattr(service, action)(*arguments)
            except Exception as error:  # noqa: BLE001 the SDK raises whatever happens within it
                raise _error_for(error) from None


def _rows(content: Content) -> list[dict[str, object]]:
    return [entry.as_json() for entry in content.entries]


def _phrase_id(output: object) -> str:
    phrase_id = getattr(output, "finetuned_output", None)
    if not isinstance(phrase_id, str) or not phrase_id:
        raise UpstreamUnavailable("the vendor compiled a phrase list without naming it")
    return phrase_id


def _error_for(error: Exception) -> GatewayError:
    """Return what an error means; its own text may hold hot words, so it goes no further."""
    match error:
        case VocabularyServiceException():
            return hotword_error(error._status_code, error._code, error._request_id)  # noqa: SLF001 it has no public ones
        case _Redirected():
            return UpstreamRefused(
                "the vendor's hot-word service sends the gateway to another address, which it does not follow"
            )
        case _Unreachable() | requests.RequestException():
            return UpstreamUnavailable("the vendor's hot-word service cannot be reached", retry_after_seconds=1.0)
        case _:
            return UpstreamUnavailable(
                f"the vendor's hot-word service gave an answer that its SDK does not understand: {type(error).__name__}"
            )
