"""A node: containerd, which runs containers by runc, and a kubelet, in a mount namespace with folders of their own."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from cluster.api import Api
from cluster.programs import KUBELET, path_of
from cluster.servers import running
from node import network
from node.images import PAUSE
from node.isolation import make_usable, replace_folders

_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
#: What lies at fixed places, for each node its own.
_FOLDERS: Final = ("/run", "/var/lib", "/var/log")
#: Images and pods of all containers that Kubernetes runs.
_NAMESPACE: Final = "k8s.io"
_HEALTH_PORT: Final = 10248
_SECONDS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A running node.

    Attributes:
        name: Of the node.
        socket: Of its containerd.
    """

    name: str
    socket: Path

    def import_image(self, file: Path) -> None:
        self.containers("images", "import", str(file))

    def process_of(self, container: str) -> int:
        """The id of a container's first process."""
        lines = self.containers("tasks", "list").splitlines()[1:]
        return next(int(line.split()[1]) for line in lines if line.split()[0] == container)

    def containers(self, *arguments: str) -> str:
        """What containerd's own client prints."""
        command = ["ctr", f"--address={self.socket}", f"--namespace={_NAMESPACE}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout


@contextmanager
def machine(number: int, parent: Path, api: Api, images: Sequence[Path]) -> Iterator[Machine]:
    """Run a node that has these images."""
    name = network.NODE_NAMES[number]
    folder = parent / name
    folder.mkdir()
    made = Machine(name=name, socket=folder / "run" / "containerd" / "containerd.sock")
    command = replace_folders(folder, _FOLDERS, "containerd", f"--config={_containerd(folder, number)}")
    with running(command, folder / "containerd.log", partial(_connect, made.socket)) as containerd:
        for image in images:
            made.import_image(image)
        with _kubelet(name, folder, network.NODES[number], api, containerd.pid):
            yield made


@contextmanager
def _kubelet(name: str, folder: Path, address: str, api: Api, containerd: int) -> Iterator[None]:
    kubeconfig = _written(folder / "kubeconfig", api.kubeconfig())
    command = [
        *("nsenter", f"--mount=/proc/{containerd}/ns/mnt", "--", str(path_of(KUBELET))),
        f"--config={_written(folder / 'kubelet.json', json.dumps(_kubelet_configuration(name, folder, address)))}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={name}",
        f"--node-ip={address}",
    ]
    url = f"http://{address}:{_HEALTH_PORT}/healthz"
    with running(command, folder / "kubelet.log", lambda: urlopen(url, timeout=5).close()):
        yield


# Any: JSON values.
def _kubelet_configuration(name: str, folder: Path, address: str) -> Mapping[str, Any]:
    for hierarchy in _CONTROL_GROUPS.iterdir():
        (hierarchy / name).mkdir()
        make_usable(hierarchy / name)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "healthzBindAddress": address,
        "healthzPort": _HEALTH_PORT,
        # The API server asks it for logs; nobody else is in this network.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{name}",
        "volumePluginDir": str(folder / "volume-plugins"),
        "clusterDNS": [network.NAME_SERVER],
        "clusterDomain": network.DOMAIN,
        "resolvConf": str(network.resolver(folder.parent)),
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "failSwapOn": False,
        # Neither needs a right that not every root has.
        "oomScoreAdj": 0,
    }


def _containerd(folder: Path, number: int) -> Path:
    """Write the configuration of containerd, and that of the pods' network."""
    bridge = {
        "type": "bridge",
        "bridge": f"pods-{number + 1}",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": network.PODS[number]}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    (folder / "cni").mkdir()
    _written(folder / "cni" / "pods.conflist", json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}))
    return _written(folder / "containerd.toml", _CONTAINERD.format(pause=PAUSE, folder=folder))


_CONTAINERD: Final = """
version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


def _connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
