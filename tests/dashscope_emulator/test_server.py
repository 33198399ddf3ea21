"""The emulator behind TLS, as the cloud is."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from certificates import make_certificate


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    made = make_certificate(tmp_path)
    return made.chain, made.key


async def test_a_certificate_makes_it_serve_tls(start: Any, connect: Any, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    emulator = await start(tls_cert=cert, tls_key=key)
    assert emulator.url.startswith("wss://")
    client = await connect(emulator, ssl=ssl.create_default_context(cafile=cert))
    assert (await client.run())["header"]["event"] == "task-started"


async def test_a_bad_certificate_is_refused_at_the_start(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text("nothing")
    with pytest.raises(ssl.SSLError):
        await start(tls_cert=path, tls_key=path)
