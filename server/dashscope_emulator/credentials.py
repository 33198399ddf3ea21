"""Keys, and the temporary tokens that they are exchanged for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dashscope_emulator.rest import RestError

_MAX_TOKENS: Final = 10_000
_TOKEN_PREFIX: Final = "st-"  # noqa: S105  (the vendor's prefix, no secret)


class CredentialRefused(RestError):
    """The key is missing or wrong.

    Attributes:
        is_missing: There was no key at all.
    """

    def __init__(self, *, is_missing: bool) -> None:
        super().__init__(401, message="No API-key provided." if is_missing else "")
        self.is_missing = is_missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A key for a short time.

    Attributes:
        text: The token itself.
        expires_at: Unix seconds, as the client gets them.
    """

    text: str
    expires_at: int


class Credentials:
    """The one permanent key, or any, and the tokens made of it.

    Args:
        api_key: The permanent key; None = any that is not empty.
        time_scale: Tokens live so many times shorter than their ``expires_at``.
        clock: Monotonic seconds.
    """

    def __init__(self, api_key: str | None, time_scale: float, clock: Callable[[], float]) -> None:
        self._api_key = api_key
        self._time_scale = time_scale
        self._clock = clock
        self._tokens: dict[str, float] = {}

    def check(self, headers: Mapping[str, str], query: Mapping[str, str]) -> float | None:
        """Check the key of a handshake or a request.

        Returns:
            When its token expires, on the clock; None for a permanent key.

        Raises:
            CredentialRefused: No key, a wrong one, or a token unknown or expired.
        """
        key = _presented(headers, query)
        if not key:
            raise CredentialRefused(is_missing=True)
        if key.startswith(_TOKEN_PREFIX):
            expires = self._tokens.get(key, 0.0)
            if expires <= self._clock():
                raise CredentialRefused(is_missing=False)
            return expires
        if self._api_key is not None and key != self._api_key:
            raise CredentialRefused(is_missing=False)
        return None

    def exchange(self, seconds: int) -> Token:
        """Make a token that lives so many seconds."""
        now = self._clock()
        self._tokens = {token: expires for token, expires in self._tokens.items() if expires > now}
        while len(self._tokens) >= _MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        token = _TOKEN_PREFIX + uuid.uuid4().hex
        self._tokens[token] = now + seconds / self._time_scale
        return Token(text=token, expires_at=int(time.time()) + seconds)


def _presented(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Return the key with or without its scheme, or from the query: browsers cannot set headers."""
    scheme, _, rest = headers.get("Authorization", "").strip().partition(" ")
    if rest and scheme.lower() == "bearer":
        return rest.strip()
    bare = "" if scheme.lower() == "bearer" else scheme
    return bare or query.get("api_key", "")
