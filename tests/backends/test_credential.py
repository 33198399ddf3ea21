"""One more attempt with another key, where there is one."""

from __future__ import annotations

import pytest

from asrgateway_server.backends.credential import with_key
from asrgateway_server.errors import UpstreamRefused


class Keys:
    """A credential with a few keys; attempts succeed with the key ``right`` alone."""

    def __init__(self, *keys: str) -> None:
        self._keys = list(keys)
        self.attempts: list[str] = []

    async def key(self, instead_of: str = "") -> str:
        if instead_of == self._keys[0] and len(self._keys) > 1:
            self._keys.pop(0)
        return self._keys[0]

    async def attempt(self, key: str) -> str:
        self.attempts.append(key)
        if key != "right":
            raise UpstreamRefused("no", upstream_code=key)
        return "done"


async def test_a_right_key_is_used_once() -> None:
    keys = Keys("right")
    assert await with_key(keys, keys.attempt) == "done"
    assert keys.attempts == ["right"]


async def test_a_rejected_key_is_replaced() -> None:
    keys = Keys("old", "right")
    assert await with_key(keys, keys.attempt) == "done"
    assert keys.attempts == ["old", "right"]


@pytest.mark.parametrize(
    ("keys", "attempts"), [(Keys("old"), ["old"]), (Keys("old", "wrong", "right"), ["old", "wrong"])]
)
async def test_without_another_key_or_after_it_the_refusal_counts(keys: Keys, attempts: list[str]) -> None:
    with pytest.raises(UpstreamRefused) as refused:
        await with_key(keys, keys.attempt)
    assert keys.attempts == attempts
    assert refused.value.upstream_code == attempts[-1]


async def test_a_refusal_of_something_else_is_no_reason_for_another_key() -> None:
    keys = Keys("old", "right")
    with pytest.raises(UpstreamRefused):
        await with_key(keys, keys.attempt, lambda _: False)
    assert keys.attempts == ["old"]
