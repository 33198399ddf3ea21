"""The image, built by buildah from the Dockerfile as it is, and what else the nodes need to run it.

The Dockerfile's base image cannot be pulled everywhere, so it never is: a Debian of the same release with its Python
3.11, made by mmdebstrap, takes its name. Nothing else differs from what a developer builds. That Debian is kept in the
user's cache folder, and gets no updates there: remove the file for a new one.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calls import ROOT
from cluster.programs import KUBELET, folder, source
from node.isolation import isolate

NAME: Final = "docker.io/library/asr-gateway:0.1.0"
PAUSE: Final = "localhost/pause:1"
_BASE: Final = "docker.io/library/python:3.11-slim-bookworm"
_RELEASE: Final = "bookworm"
_PACKAGES: Final = "ca-certificates,python-is-python3,python3,python3-pip,python3-venv"
#: What a build may trust is what this machine trusts.
_AUTHORITIES: Final = "/etc/ssl/certs"


class NoImage(Exception):
    """The image cannot be built; the message is the end of what the builder said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """buildah with a storage of its own.

    Attributes:
        folder: Where everything lies.
        end: When all of it must be done, by the monotonic clock.
    """

    folder: Path
    end: float

    def base(self) -> str:
        """Put the base image under its name; return its digest."""
        with_python = self._debian()
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
        self._run("cc", "-Os", "-static", "-DVERSION=1", "-o", str(program), str(text))
        container = self._buildah("from", "scratch")
        self._buildah("add", container, str(program), "/pause")
        self._buildah("config", "--entrypoint", '["/pause"]', "--user", "65535:65535", container)
        self._buildah("commit", "--rm", container, PAUSE)

    def saved(self, name: str) -> Path:
        """Write an image into a file that containerd imports."""
        file = self.folder / f"{name.rpartition('/')[2].partition(':')[0]}.tar"
        self._buildah("push", name, f"docker-archive:{file}:{name}")
        return file

    def _buildah(self, *arguments: str) -> str:
        storage = [f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}", "--storage-driver=overlay"]
        return self._run(*isolate(self.folder, "buildah", *storage, *arguments))

    def _debian(self) -> Path:
        """A root file system with Python, made once."""
        kept = folder() / f"{_BASE.rpartition('/')[2].replace(':', '-')}.tar"
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as made:
                unfinished = Path(made) / kept.name
                arguments = ("--mode=root", "--variant=minbase", f"--include={_PACKAGES}", _RELEASE, str(unfinished))
                self._run(*isolate(self.folder, "mmdebstrap", *arguments))
                unfinished.replace(kept)
        return kept

    def _run(self, *command: str) -> str:
        """What a command prints."""
        seconds = max(0.0, self.end - time.monotonic())
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds, check=True, env=_environment()
            )
        except subprocess.CalledProcessError as error:
            raise NoImage(error.stderr[-4000:]) from error
        except subprocess.TimeoutExpired as error:
            raise NoImage(f"not done in time: {shlex.join(command)}") from error
        return result.stdout.strip()


def _environment() -> dict[str, str]:
    return dict(os.environ) | {"BUILDAH_ISOLATION": "chroot"}
