"""What a vendor is shown, which may be rejected and replaced at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from asrgateway_server.errors import UpstreamRefused

T = TypeVar("T")


class Credential(Protocol):
    """A key or token that may change."""

    async def key(self, instead_of: str = "") -> str:
        """Return the key or token for the next connection or request.

        Args:
            instead_of: The vendor has just rejected this one; another is returned if there is any.

        Raises:
            GatewayError: There is none now.
        """


def fingerprint(secret: str) -> str:
    """Return what tells secrets apart and gives none away."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_any(_: UpstreamRefused) -> bool:
    return True


async def with_key(
    credential: Credential,
    attempt: Callable[[str], Awaitable[T]],
    is_rejected: Callable[[UpstreamRefused], bool] = _is_any,
) -> T:
    """Attempt something with a key, and once more if the vendor rejects it and there is another one by now.

    Args:
        credential: Has the key.
        attempt: What is done with it.
        is_rejected: Whether a refusal may be about the key.

    Raises:
        GatewayError: There is no key, or what the last attempt raised.
    """
    key = await credential.key()
    try:
        return await attempt(key)
    except UpstreamRefused as refused:
        other = await credential.key(instead_of=key) if is_rejected(refused) else key
        if other == key:
            raise
    return await attempt(other)
