"""A gateway that was under load, and the Prometheus that watched it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from observability.load import Observed, observe


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """One load for all tests that ask about it; Prometheus outlives the gateway."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(observe(stack, tmp_path_factory.mktemp("prometheus")))
        runner.run(stack.aclose())
