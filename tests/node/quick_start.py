"""The README's quick start in a container, with podman in the place of docker and the image that was built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

from calls import ROOT
from documented_commands import scripts, section

_HEADING: Final = "## Quick start in a container"
_TEXT: Final = "the boy was there when the sun rose"
#: At speaking speed: what a machine without a free processor says too late is heard with silence in it.
_LIKENESS: Final = 0.8
_LABELLED: Final = '{{index .Config.Labels "org.opencontainers.image.base.digest"}}'
_READY: Final = '"message": "listening"'
_SECONDS: Final = 60

_CONTAINERS: Final = """
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/usr/lib/cni"]
network_config_dir = "{folder}/networks"
"""
_STORAGE: Final = """
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


def try_out(folder: Path) -> list[str]:
    """Run the image and call it as the README says; return what both calls print: in a container, and from outside.

    The image was built before, where there is a network. That its base is named by the digest that the README's command
    finds is checked here.
    """
    build, run, call = scripts(section(ROOT / "README.md", _HEADING))
    environment = os.environ | _podman(folder)
    assert _said(_digest(build), environment) == _said(
        f"docker image inspect --format '{_LABELLED}' asr-gateway:0.1.0", environment
    )
    log = folder / "quick-start.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {run}"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        _wait_for(_READY, log, server)
        outside = f"{Path(sys.executable).with_name('asr-client')} file clients/recordings/boy.wav"
        texts = [_said(command, environment) for command in (call, outside)]
    finally:
        server.terminate()
        server.wait(_SECONDS)
    assert all(is_nearly(text, _TEXT) for text in texts), texts
    return texts


def is_nearly(text: str, expected: str) -> bool:
    """Whether nearly all words are the same, in order."""
    return SequenceMatcher(None, text.split(), expected.split()).ratio() >= _LIKENESS


def _digest(build: str) -> str:
    """The documented commands up to the digest of the base, which was not pulled."""
    lines = [line for line in build.splitlines() if line.startswith("BASE")]
    return "\n".join([*lines, "echo $BASE_DIGEST"])


def _said(command: str, environment: Mapping[str, str]) -> str:
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def _podman(folder: Path) -> dict[str, str]:
    """Variables with which `docker` is podman, with the builder's storage and folders of its own."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "docker").symlink_to(shutil.which("podman") or "podman")
    for name, text in (("containers", _CONTAINERS), ("storage", _STORAGE)):
        (folder / f"{name}.conf").write_text(text.format(folder=folder), encoding="utf-8")
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


def _wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _SECONDS
    while text not in (said := log.read_text(encoding="utf-8")):
        assert process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.1)
