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
NAMES: Final = NODES[0]
DOMAIN: Final = "cluster.local"
_BRIDGE: Final = "nodes"


def set_up(resolver: Path) -> None:
    """Give this network namespace its interfaces, and this mount namespace its name server."""
    _ip("link", "set", "lo", "up")
    _ip("link", "add", _BRIDGE, "type", "bridge")
    for address in NODES:
        _ip("address", "add", f"{address}/24", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")
    # Addresses of Services exist in kube-proxy's rules only: a route makes programs send there at all.
    _ip("route", "add", SERVICES, "dev", _BRIDGE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    resolver.write_text(f"nameserver {NAMES}\nsearch {DOMAIN}\n", encoding="utf-8")
    subprocess.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"], check=True, timeout=10)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)
