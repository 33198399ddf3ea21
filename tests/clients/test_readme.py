"""The samples of the client's README run as they stand; only the address is that of a test's gateway."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from asrgateway_server.admission.keys import hashed_line
from calls import RECORDINGS, ROOT
from certificates import make_certificate
from gateways import open_gateway

README: Final = (ROOT / "clients" / "python" / "README.md").read_text(encoding="utf-8")
SAMPLES: Final = re.findall(r"^## (.+?)$|^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SPOKEN: Final = "please call my mother tomorrow morning"


def samples() -> dict[str, str]:
    """The samples by the heading above them."""
    found, heading = {}, ""
    for name, code in SAMPLES:
        heading = name or heading
        if code:
            found[heading] = code
    return found


@pytest.fixture
async def addresses(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Two gateways by the address that stands in the README; beside them the files that the samples read."""
    certificate = make_certificate(tmp_path)
    certificate.chain.rename(tmp_path / "ca.pem")
    (tmp_path / "speech.wav").write_bytes((RECORDINGS / "mother.wav").read_bytes())
    (tmp_path / "keys").write_text(f"{hashed_line('correct-horse-battery')}\n", encoding="utf-8")
    secured = {
        "tls_cert_file": str(tmp_path / "ca.pem"),
        "tls_key_file": str(certificate.key),
        "api_keys_file": str(tmp_path / "keys"),
        "embedded_workers": 0,
    }
    async with AsyncExitStack() as stack:
        plain, _ = await stack.enter_async_context(open_gateway())
        guarded, _ = await stack.enter_async_context(open_gateway(**secured))
        yield {"127.0.0.1:50051": str(plain.address), "gateway.example.com:443": str(guarded.address)}


@pytest.mark.parametrize(
    ("heading", "output"),
    [
        ("With asyncio", SPOKEN),
        ("Without asyncio", SPOKEN),
        ("Calls that survive a restart", SPOKEN),
        ("TLS and keys", "embedded"),
        ("Errors", "INVALID_ARGUMENT"),
    ],
)
async def test_a_sample_runs_as_it_stands(heading: str, output: str, addresses: dict[str, str], tmp_path: Path) -> None:
    code = samples()[heading]
    for name, address in addresses.items():
        code = code.replace(name, address)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        code,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(100):
        printed, _ = await process.communicate()
    assert output in printed.decode()


def test_every_sample_is_run() -> None:
    assert set(samples()) == {
        "With asyncio",
        "Without asyncio",
        "Calls that survive a restart",
        "TLS and keys",
        "Errors",
    }
    assert README.count("```python\n") == len(samples())
