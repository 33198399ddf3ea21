"""Reading the gateway's certificate; what is served with it is shown by tests/end_to_end/test_tls.py."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from asrgateway_server.admission.tls import CertificateFiles, certificate_from
from asrgateway_server.settings import Settings
from certificates import Certificate, make_certificate


@pytest.fixture
def server(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


def other(folder: Path, days: int = 1) -> Certificate:
    made = folder / "other"
    made.mkdir()
    return make_certificate(made, days=days)


def files(certificate: Certificate, client_ca: Path | None = None) -> CertificateFiles:
    return CertificateFiles(certificate.chain, certificate.key, client_ca)


def days_left(seconds: float) -> float:
    return (seconds - datetime.datetime.now(datetime.UTC).timestamp()) / 86_400


def test_the_first_certificate_of_the_chain_to_expire_counts(server: Certificate, tmp_path: Path) -> None:
    longer = other(tmp_path, days=9)
    assert 8 < days_left(files(longer).read().expires_at) <= 9
    longer.chain.write_bytes(longer.chain.read_bytes() + server.chain.read_bytes())
    assert 0 < days_left(files(longer).read().expires_at) <= 1


def test_all_files_are_watched(server: Certificate, tmp_path: Path) -> None:
    assert files(server).paths == (server.chain, server.key)
    client_ca = other(tmp_path).chain
    assert files(server, client_ca).paths == (server.chain, server.key, client_ca)


def test_the_file_of_the_client_ca_is_read_too(server: Certificate) -> None:
    with pytest.raises(ValueError, match=f"{server.key} holds no certificate in PEM"):
        files(server, client_ca=server.key).read()


def test_without_a_certificate_there_is_plain_text() -> None:
    assert certificate_from(Settings()) is None
