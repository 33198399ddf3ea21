"""Transport security of the gRPC port: what callers see, what they must show, and how certificates are replaced."""

from __future__ import annotations

import asyncio
import base64
import math
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from grpc_health.v1 import health_pb2, health_pb2_grpc

from asrgateway import tls_credentials
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.settings import SettingsError
from calls import RECORDINGS, Stub, audio, config, outcome_of, pcm, recognize
from certificates import Certificate, make_certificate
from gateways import open_gateway

CLIENT = str(Path(sys.executable).with_name("asr-client"))
BOY = pcm(RECORDINGS / "boy.wav")
BOYS_WORDS = "the boy was there when the sun rose"


@pytest.fixture
def server(tmp_path: Path) -> Certificate:
    (tmp_path / "server").mkdir()
    return make_certificate(tmp_path / "server")


@pytest.fixture
def client(tmp_path: Path) -> Certificate:
    (tmp_path / "client").mkdir()
    return make_certificate(tmp_path / "client")


@asynccontextmanager
async def secured(server: Certificate, **settings: object) -> AsyncIterator[Gateway]:
    """A gateway with this certificate; it recognises nothing unless the settings give it workers."""
    values = {"tls_cert_file": str(server.chain), "tls_key_file": str(server.key), "embedded_workers": 0}
    async with open_gateway(**values | settings) as (gateway, _):
        yield gateway


@asynccontextmanager
async def connected(gateway: Gateway, server: Certificate, client: Certificate | None = None) -> AsyncIterator[Stub]:
    """A caller that trusts the server's certificate, and shows its own if it has one."""
    credentials = tls_credentials(
        ca_file=server.chain,
        cert_file=client.chain if client else None,
        key_file=client.key if client else None,
    )
    async with grpc.aio.secure_channel(str(gateway.address), credentials) as channel:
        yield pb_grpc.SpeechRecognitionServiceStub(channel)


async def answers(stub: Stub) -> bool:
    try:
        return bool((await stub.ListModels(pb.ListModelsRequest(), timeout=60)).models)
    except grpc.aio.AioRpcError:
        return False


async def asr_client(gateway: Gateway, *arguments: str | Path) -> tuple[int | None, str, str]:
    """Run `asr-client` to its end; return its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(CLIENT, *map(str, arguments), "--target", str(gateway.address)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


def seen_certificate(gateway: Gateway) -> int:
    """The serial number of the certificate that a new caller sees."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(gateway.address) as plain, context.wrap_socket(plain) as secure:
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def serial_number(certificate: Certificate) -> int:
    return x509.load_pem_x509_certificate(certificate.chain.read_bytes()).serial_number


# Handshakes -------------------------------------------------------------------------------------------------------


async def test_the_command_line_speaks_tls(server: Certificate) -> None:
    async with secured(server, embedded_workers=1) as gateway:
        recording = ("file", RECORDINGS / "boy.wav", "--fast")
        trusting = await asr_client(gateway, *recording, "--tls", "--ca", server.chain)
        wary = await asr_client(gateway, "models", "--tls")
        plain = await asr_client(gateway, "models", "--no-reconnect")
    assert trusting[:2] == (0, f"{BOYS_WORDS}\n")
    assert (wary[0], plain[0]) == (1, 1)
    assert "UNAVAILABLE" in wary[2]


async def test_the_command_line_shows_its_certificate(server: Certificate, client: Certificate) -> None:
    async with secured(server, tls_client_ca_file=str(client.chain)) as gateway:
        own = ("--cert", client.chain, "--key", client.key)
        shown = await asr_client(gateway, "models", "--ca", server.chain, *own)
        unshown = await asr_client(gateway, "models", "--ca", server.chain, "--no-reconnect")
    assert (shown[0], unshown[0]) == (0, 1)


async def test_only_certificates_of_the_client_ca_are_let_in(server: Certificate, client: Certificate) -> None:
    async with secured(server, tls_client_ca_file=str(client.chain)) as gateway:
        async with connected(gateway, server, client) as stub:
            assert await answers(stub)
        async with connected(gateway, server, server) as stub:
            assert not await answers(stub)
        async with connected(gateway, server) as stub:
            assert not await answers(stub)


async def test_plain_text_is_not_spoken_beside_it(server: Certificate) -> None:
    async with secured(server) as gateway, grpc.aio.insecure_channel(str(gateway.address)) as channel:
        assert not await answers(pb_grpc.SpeechRecognitionServiceStub(channel))


async def test_probes_need_no_certificate(server: Certificate, client: Certificate) -> None:
    async with secured(server, tls_client_ca_file=str(client.chain)) as gateway:
        async with grpc.aio.insecure_channel(str(gateway.health_address)) as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


# Replacement ------------------------------------------------------------------------------------------------------


async def test_no_call_fails_while_the_certificate_is_replaced(server: Certificate) -> None:
    async with secured(server, embedded_workers=2) as gateway, connected(gateway, server) as old:
        open_call = old.Recognize(timeout=60)
        await open_call.write(config())
        await open_call.read()
        trusted = server.chain.read_bytes()
        new = make_certificate(server.chain.parent)
        trusted += new.chain.read_bytes()
        both = grpc.ssl_channel_credentials(trusted)
        made = 0
        async with asyncio.timeout(60):
            while await asyncio.to_thread(seen_certificate, gateway) != serial_number(new):
                async with grpc.aio.secure_channel(str(gateway.address), both) as channel:
                    outcome = await recognize(pb_grpc.SpeechRecognitionServiceStub(channel), [config(), audio(BOY)])
                assert outcome.texts == [BOYS_WORDS]
                made += 1
        assert made
        await open_call.write(audio(BOY))
        await open_call.done_writing()
        assert (await outcome_of(open_call)).texts == [BOYS_WORDS]
        async with connected(gateway, new) as stub:
            assert await answers(stub)


async def test_half_a_certificate_leaves_the_old_one_and_a_warning(
    server: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async with secured(server) as gateway:
        before = serial_number(server)
        key = server.key.read_bytes()
        make_certificate(server.chain.parent)
        server.key.write_bytes(key)

        def is_told() -> bool:
            assert seen_certificate(gateway) == before
            return any("is not the key of the certificate in" in str(vars(record)) for record in caplog.records)

        async with asyncio.timeout(60):
            while not await asyncio.to_thread(is_told):
                pass


async def test_metrics_tell_when_the_certificate_expires(server: Certificate) -> None:
    name = "asrgateway_tls_certificate_expiry_timestamp_seconds"
    expires = x509.load_pem_x509_certificate(server.chain.read_bytes()).not_valid_after_utc.timestamp()
    async with secured(server) as gateway:
        assert gateway.metrics.registry.get_sample_value(name) == expires
    async with open_gateway(embedded_workers=0) as (gateway, _):
        assert math.isnan(gateway.metrics.registry.get_sample_value(name) or 0.0)


# Files that are of no use ------------------------------------------------------------------------------------------


def no_key(server: Certificate) -> None:
    server.key.unlink()


def no_certificate(server: Certificate) -> None:
    server.chain.write_text("-----BEGIN NOTHING-----\n")


def key_of_another(server: Certificate) -> None:
    chain = server.chain.read_bytes()
    make_certificate(server.chain.parent)
    server.chain.write_bytes(chain)


def key_with_a_password(server: Certificate) -> None:
    key = serialization.load_pem_private_key(server.key.read_bytes(), password=None)
    encrypted = serialization.BestAvailableEncryption(b"secret")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    server.key.write_bytes(key.private_bytes(pem, pkcs8, encrypted))


def of_an_unknown_kind(path: Path) -> None:
    """Turn the name of elliptic curves (RFC 5480, 2.1.1) in PEM into one that nobody has."""
    first, *middle, last = path.read_text().splitlines()
    known = b"\x2a\x86\x48\xce\x3d\x02\x01"
    der = base64.b64decode("".join(middle)).replace(known, known[:-1] + b"\x7f")
    path.write_text(f"{first}\n{base64.encodebytes(der).decode()}{last}\n")


def key_of_an_unknown_kind(server: Certificate) -> None:
    of_an_unknown_kind(server.key)


def certificate_of_an_unknown_kind(server: Certificate) -> None:
    of_an_unknown_kind(server.chain)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (key_of_an_unknown_kind, r"key\.pem holds a private key of an unknown kind; use RSA or EC$"),
        (
            certificate_of_an_unknown_kind,
            r"certificate\.pem holds a certificate with a key of an unknown kind; use RSA or",
        ),
        (no_key, r"key\.pem cannot be read: No such file or directory$"),
        (no_certificate, r"certificate\.pem holds no certificate in PEM$"),
        (key_of_another, r"key\.pem is not the key of the certificate in .*certificate\.pem$"),
        (key_with_a_password, r"key\.pem holds no private key in PEM that can be read without a password$"),
    ],
)
async def test_files_of_no_use_are_no_start(
    server: Certificate, spoil: Callable[[Certificate], None], message: str
) -> None:
    spoil(server)
    with pytest.raises(SettingsError, match=message):
        async with secured(server):
            pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tls_cert_file": "c"}, "tls_cert_file and tls_key_file go together"),
        ({"tls_key_file": "k"}, "tls_cert_file and tls_key_file go together"),
        ({"tls_client_ca_file": "c"}, "tls_client_ca_file needs tls_cert_file and tls_key_file"),
    ],
)
async def test_settings_that_do_not_fit_are_no_start(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        async with open_gateway(**settings, embedded_workers=0):
            pass


async def test_a_client_ca_of_no_use_is_no_start(server: Certificate, client: Certificate) -> None:
    with pytest.raises(SettingsError, match=r"key\.pem holds no certificate in PEM$"):
        async with secured(server, tls_client_ca_file=str(client.key)):
            pass
