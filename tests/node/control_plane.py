"""What runs once for all nodes: API server, controller manager, scheduler, the cluster's DNS, and kube-proxy."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from cluster.api import Api
from cluster.programs import API_SERVER, CONTROLLER_MANAGER, DNS, PROXY, SCHEDULER, Program, path_of
from cluster.servers import ACCOUNTS, api_server, running
from node import network

_WITHOUT_ELECTION: Final = "--leader-elect=false"
#: The API server asks kubelets for logs; no name server knows nodes.
_BY_ADDRESS: Final = "--kubelet-preferred-address-types=InternalIP"
_COREFILE: Final = """
.:53 {{
    bind {address}
    errors
    health {address}:8080
    kubernetes {domain} {{
        kubeconfig {kubeconfig}
    }}
}}
"""


@contextmanager
def control_plane(folder: Path) -> Iterator[Api]:
    """Run them until they are not needed any more."""
    with api_server(API_SERVER, folder, _BY_ADDRESS) as api, ExitStack() as programs:
        kubeconfig = _kubeconfig(folder, api)

        def run(program: Program, *flags: str, health: str) -> None:
            command = [str(path_of(program)), *flags]
            programs.enter_context(running(command, folder / f"{program.name}.log", _asking(health)))

        flags = (f"--kubeconfig={kubeconfig}", "--bind-address=127.0.0.1", _WITHOUT_ELECTION)
        accounts = (f"--service-account-private-key-file={folder / ACCOUNTS}", f"--root-ca-file={api.authority}")
        plugins = f"--flex-volume-plugin-dir={folder / 'volume-plugins'}"
        run(CONTROLLER_MANAGER, *flags, *accounts, plugins, health="https://127.0.0.1:10257/healthz")
        run(SCHEDULER, *flags, health="https://127.0.0.1:10259/healthz")
        run(DNS, f"-conf={_write_corefile(folder, kubeconfig)}", health=f"http://{network.NAME_SERVER}:8080/health")
        yield api


@contextmanager
def kube_proxy(folder: Path, api: Api) -> Iterator[None]:
    """Run one for all nodes, which share a network namespace; it asks for the first of them."""
    command = [str(path_of(PROXY)), f"--config={_proxy(folder, _kubeconfig(folder, api))}"]
    with running(command, folder / "kube-proxy.log", _asking("http://127.0.0.1:10256/livez")):
        yield


def _kubeconfig(folder: Path, api: Api) -> Path:
    path = folder / "kubeconfig"
    path.write_text(api.kubeconfig(), encoding="utf-8")
    return path


def _asking(url: str) -> Callable[[], None]:
    """A question to a health address, whose certificate is the program's own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return lambda: urlopen(url, timeout=5, context=context if url.startswith("https") else None).close()  # noqa: S310


def _proxy(folder: Path, kubeconfig: Path) -> Path:
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "iptables",
        "bindAddress": network.NODES[0],
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": network.ALL_PODS,
        "hostnameOverride": network.NODE_NAMES[0],
        "oomScoreAdj": 0,
        # The limit belongs to the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    path = folder / "proxy.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    return path


def _write_corefile(folder: Path, kubeconfig: Path) -> Path:
    path = folder / "Corefile"
    text = _COREFILE.format(address=network.NAME_SERVER, domain=network.DOMAIN, kubeconfig=kubeconfig)
    path.write_text(text, encoding="utf-8")
    return path
