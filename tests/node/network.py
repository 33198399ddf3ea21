"""The network of the nodes: a namespace with addresses of its own and no way out."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

NODE_NAMES: Final = ("node-1", "node-2")
NODES: Final = ("10.97.0.1", "10.97.0.2")
PODS: Final = ("10.98.0.0/24", "10.98.1.0/24")
ALL_PODS: Final = "10.98.0.0/16"
SERVICES: Final = "10.96.0.0/16"
#: Where the cluster's DNS server listens.
NAME_SERVER: Final = NODES[0]
DOMAIN: Final = "cluster.local"
_BRIDGE: Final = "nodes"


def set_up() -> None:
    """Give this network namespace its interfaces."""
    _ip("link", "set", "lo", "up")
    _ip("link", "add", _BRIDGE, "type", "bridge")
    for address in NODES:
        _ip("address", "add", f"{address}/24", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")
    # Addresses of Services exist in kube-proxy's rules only: a route makes programs send there at all.
    _ip("route", "add", SERVICES, "dev", _BRIDGE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")


def set_resolver(folder: Path) -> None:
    """Give this mount namespace its name server; a file that is a link into a hidden folder is not there yet."""
    file, place = resolver(folder), Path("/etc/resolv.conf").resolve()
    file.write_text(f"nameserver {NAME_SERVER}\nsearch {DOMAIN}\n", encoding="utf-8")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    subprocess.run(["mount", "--bind", str(file), str(place)], check=True, timeout=10)


def resolver(folder: Path) -> Path:
    """The file that names the name server."""
    return folder / "resolv.conf"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)
