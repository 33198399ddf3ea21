"""An API server of Kubernetes on loopback, and etcd behind it.

By themselves they run no pod: what Helm sends is judged and kept.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certificates import make_certificate
from cluster.api import TOKEN, Api, Json, RefusedByKubernetes
from cluster.operators import definitions
from cluster.programs import ETCD, Program, path_of
from ports import free_ports

_START_SECONDS: Final = 120
_END_SECONDS: Final = 20
_PAUSE_SECONDS: Final = 0.1

#: The key with which tokens of service accounts are signed.
ACCOUNTS: Final = "accounts.pem"

#: What the files of values name and the chart does not make.
_FURNITURE: Final[tuple[Json, ...]] = (
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "important"}, "value": 1000},
    {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "runsc"},
)
_NAMESPACES: Final = ("speech-eu", "monitoring")


@contextmanager
def api_server(program: Program, folder: Path, *flags: str) -> Iterator[Api]:
    """Run both until they are not needed any more."""
    certificate = make_certificate(folder)
    port, *others = free_ports(3)
    api = Api(version=program.module.version, port=port, authority=certificate.chain)
    with _etcd(folder, *others) as etcd:
        command = [*_command(program, folder, etcd), f"--secure-port={api.port}", *flags]
        with running(command, folder / "api-server.log", partial(api.ask, "GET", "/readyz")):
            yield api


@contextmanager
def _etcd(folder: Path, *ports: int) -> Iterator[str]:
    """Run etcd; give its address."""
    client, peer = (f"http://127.0.0.1:{port}" for port in ports)
    command = [
        str(path_of(ETCD)),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    with running(command, folder / "etcd.log", lambda: urlopen(f"{client}/health", timeout=5).close()):  # noqa: S310
        yield client


def _command(program: Program, folder: Path, etcd: str) -> list[str]:
    """An API server for one client, which may do everything."""
    (folder / "tokens.csv").write_text(f"{TOKEN},tests,tests,system:masters\n", encoding="utf-8")
    accounts = folder / ACCOUNTS
    accounts.write_bytes(_private_key())
    return [
        str(path_of(program)),
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        # Where pods would find it; nothing is sent there.
        "--advertise-address=192.0.2.1",
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={folder / 'certificate.pem'}",
        f"--tls-private-key-file={folder / 'key.pem'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={accounts}",
        f"--service-account-signing-key-file={accounts}",
        "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
    ]


def _private_key() -> bytes:
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return rsa.generate_private_key(65537, 2048).private_bytes(pem, pkcs8, serialization.NoEncryption())


def furnish(api: Api) -> None:
    """Make what the files of values need, the kinds of the operators among it, and wait until it is there."""
    for name in _NAMESPACES:
        api.make_namespace(name)
    for manifest in _FURNITURE:
        api.create(manifest)
    specs = [api.create(definition)["spec"] for definition in definitions()]
    for spec in specs:
        version = next(one["name"] for one in spec["versions"] if one["storage"])
        path = f"/apis/{spec['group']}/{version}/{spec['names']['plural']}"
        _until(partial(api.ask, "GET", path))


@contextmanager
def running(command: list[str], log: Path, ask: Callable[[], object]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server from its first answer on; it ends with the tests, even if those are killed."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(["setpriv", "--pdeathsig=KILL", *command], stdout=output, stderr=output)
    try:
        _until(ask, lambda: _is_there(process, log))
        yield process
    finally:
        process.kill()
        process.wait(_END_SECONDS)


def _is_there(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.poll() is None, log.read_text(encoding="utf-8")[-4000:]


def _until(ask: Callable[[], object], check: Callable[[], None] = lambda: None) -> None:
    """Ask again and again until there is an answer."""
    end = time.monotonic() + _START_SECONDS
    while True:
        check()
        try:
            ask()
        except (OSError, RefusedByKubernetes):
            assert time.monotonic() < end, f"no answer within {_START_SECONDS} s"
            time.sleep(_PAUSE_SECONDS)
        else:
            return
