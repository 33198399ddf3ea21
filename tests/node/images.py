"""The image, built by buildah from the Dockerfile as it is, and what else the nodes need to run it.

The Dockerfile's base image cannot be pulled everywhere: a Debian of the same release with the same Python, made by
mmdebstrap and kept in the user's cache folder, takes its name. Nothing else differs from what a developer builds.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calls import ROOT
from cluster.programs import KUBELET, folder, source
from node.isolation import alone

NAME: Final = "docker.io/library/asr-gateway:0.1.0"
PAUSE: Final = "localhost/pause:1"
_BASE: Final = "docker.io/library/python:3.11-slim-bookworm"
_RELEASE: Final = "bookworm"
_PACKAGES: Final = "ca-certificates,python-is-python3,python3,python3-pip,python3-venv"
#: What a build may trust is what this machine trusts.
_AUTHORITIES: Final = "/etc/ssl/certs"
_SECONDS: Final = 600


class NoImage(Exception):
    """The image cannot be built; the message is the end of what the builder said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """buildah with a storage of its own.

    Attributes:
        folder: Where everything lies.
    """

    folder: Path

    def base(self) -> str:
        """Put the base image under its name; return its digest."""
        with_python = _debian(self.folder)
        container = self._buildah("from", "scratch")
        self._buildah("add", container, str(with_python), "/")
        self._buildah("commit", "--rm", container, _BASE)
        return self._buildah("images", "--format", "{{.Digest}}", _BASE)

    def image(self, digest: str) -> None:
        """Build the image from the base of that digest."""
        arguments = (f"--build-arg=BASE_DIGEST={digest}", f"--volume={_AUTHORITIES}:{_AUTHORITIES}:ro")
        self._buildah(
            "build", "--pull=never", "--isolation=chroot", "--format=docker", *arguments, f"--tag={NAME}", str(ROOT)
        )

    def pause(self) -> None:
        """Build the image that holds a pod's namespaces, from the source of Kubernetes."""
        program = self.folder / "pause"
        text = source(KUBELET.module) / "build" / "pause" / "linux" / "pause.c"
        _run("cc", "-Os", "-static", "-DVERSION=1", "-o", str(program), str(text))
        container = self._buildah("from", "scratch")
        self._buildah("add", container, str(program), "/pause")
        self._buildah("config", "--entrypoint", '["/pause"]', "--user", "65535:65535", container)
        self._buildah("commit", "--rm", container, PAUSE)

    def saved(self, name: str) -> Path:
        """Write an image into a file that containerd imports."""
        file = self.folder / f"{name.rpartition('/')[2].partition(':')[0]}.tar"
        self._buildah("push", name, f"docker-archive:{file}:{name}")
        return file

    def bytes_of(self, name: str) -> int:
        """The size of an image."""
        return int(self._buildah("inspect", "--type=image", "--format={{.Docker.Size}}", name) or 0)

    def _buildah(self, *arguments: str) -> str:
        storage = [f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}", "--storage-driver=overlay"]
        return _run(*alone(self.folder, "buildah", *storage, *arguments))


def _debian(made_in: Path) -> Path:
    """A root file system with Python, made once."""
    kept = folder() / f"{_BASE.rpartition('/')[2].replace(':', '-')}.tar"
    if not kept.exists():
        unfinished = kept.with_suffix(".part.tar")
        packages = f"--include={_PACKAGES}"
        _run(*alone(made_in, "mmdebstrap", "--mode=root", "--variant=minbase", packages, _RELEASE, str(unfinished)))
        unfinished.replace(kept)
    return kept


def _run(*command: str) -> str:
    """What a command prints."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=True, env=_environment()
        )
    except subprocess.CalledProcessError as error:
        raise NoImage(error.stderr[-4000:]) from error
    return result.stdout.strip()


def _environment() -> dict[str, str]:
    return dict(os.environ) | {"BUILDAH_ISOLATION": "chroot"}
