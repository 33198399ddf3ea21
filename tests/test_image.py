"""The image: what the Dockerfile promises, and its steps carried out without an engine.

The steps of stage one run in a folder, with uv in the place of pip where it installs; the gateway then runs in a file
system of its own, read-only but for /tmp, as the image's user.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from all_settings import Settings
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from calls import RECORDINGS, ROOT, config, in_messages, pcm, recognize
from charts import environment, objects, only, pod
from documented_commands import scripts, section
from processes import GatewayProcess

BIN: Final = Path(sys.executable).parent
HOME: Final = "/opt/asr-gateway"


class Step(NamedTuple):
    """An instruction of the Dockerfile."""

    instruction: str
    argument: str


def steps() -> list[list[Step]]:
    """The instructions of each stage, those before the first one in front."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[list[Step]] = [[]]
    for line in filter(None, map(str.strip, lines.splitlines())):
        instruction, _, argument = line.partition(" ")
        stages += [[]] if instruction == "FROM" else []
        stages[-1].append(Step(instruction, " ".join(argument.split())))
    return stages


HEAD, BUILD, FINAL = steps()


def arguments(stage: list[Step], instruction: str) -> list[str]:
    return [step.argument for step in stage if step.instruction == instruction]


def final_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for line in arguments(FINAL, "ENV") for pair in shlex.split(line))


# What it promises --------------------------------------------------------------------------------------------------


def test_hadolint_finds_nothing_to_complain_about() -> None:
    result = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_every_stage_is_pinned_by_a_digest_that_the_build_must_name() -> None:
    bases = arguments(BUILD, "FROM") + arguments(FINAL, "FROM")
    assert arguments(HEAD, "ARG") == ["BASE_DIGEST"]
    assert [base for base in bases if not re.fullmatch(r"\S+@\$\{BASE_DIGEST\}( AS \w+)?", base)] == []


def test_every_library_is_installed_with_its_hash() -> None:
    installs = [command for run in arguments(BUILD, "RUN") for command in run.split(" && ") if " install " in command]
    assert [
        one for one in installs if "--require-hashes" not in one and "--no-index --no-compile /wheels/" not in one
    ] == []
    assert len(installs) == 2


def test_the_process_is_python_itself_as_a_user_without_rights() -> None:
    assert arguments(FINAL, "ENTRYPOINT") == ['["asr-gateway"]']
    assert arguments(FINAL, "CMD") == ['["serve"]']
    assert arguments(FINAL, "USER") == ["10001:10001"]


def test_its_health_check_asks_the_gateway_itself() -> None:
    assert [line.partition(" CMD ")[2] for line in arguments(FINAL, "HEALTHCHECK")] == [
        '["python", "-m", "asrgateway_server.grpc_api.probe"]'
    ]


def test_the_builder_is_sent_only_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {source for line in arguments(BUILD, "COPY") for source in line.split()[:-1]}
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert {rule for rule in rules[1:] if not rule.startswith("!")} == {
        "**/__pycache__",
        "**/*.egg-info",
        "**/.*_cache",
    }


def test_the_user_and_the_arguments_are_those_of_the_chart() -> None:
    spec = pod()
    context = spec["securityContext"]
    assert arguments(FINAL, "USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert spec["containers"][0]["args"] == ["serve"]
    assert "command" not in spec["containers"][0]


def test_python_writes_its_log_at_once_and_no_bytecode() -> None:
    assert final_environment()["PYTHONUNBUFFERED"] == "1"
    assert final_environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_ports_are_the_servers_own() -> None:
    fields = ("listen", "health_listen", "http_listen")
    assert arguments(FINAL, "EXPOSE") == [" ".join(str(Settings.model_fields[name].default.port) for name in fields)]


def test_the_labels_tell_what_it_is_and_what_it_was_built_from() -> None:
    labels = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", " ".join(arguments(FINAL, "LABEL"))))
    assert labels == {"title", "description", "licenses", "version", "revision", "base.name", "base.digest"}


def test_the_documented_build_names_the_base_of_every_stage_and_tags_what_is_run() -> None:
    build, run, call = scripts(section(ROOT / "README.md", "## Quick start in a container"))
    base = re.findall(r"^BASE=(\S+)$", build, re.MULTILINE)
    bases = arguments(BUILD, "FROM") + arguments(FINAL, "FROM")
    assert {one.partition("@")[0] for one in bases} == set(base)
    assert re.findall(r" --build-arg (\w+)=\$BASE_DIGEST ", build) == arguments(HEAD, "ARG")
    assert "\nBASE_DIGEST=$(docker image inspect " in build
    assert re.findall(r" -t (\S+) ", build) == [run.split()[-1]] == re.findall(r" --entrypoint asr-client (\S+) ", call)


def test_the_documented_container_is_called_through_the_port_that_it_publishes() -> None:
    """`make cluster` runs it, with the image that it builds, and calls it by the command that follows."""
    _, run, call = scripts(section(ROOT / "README.md", "## Quick start in a container"))
    settings = Settings.from_environment(dict(re.findall(r" -e (\w+)=(\S+)", run)))
    assert re.findall(r" -p 127\.0\.0\.1:(\d+):(\d+)", run) == [("50051", str(settings.listen.port))]
    assert (settings.listen.host, settings.allow_anonymous) == ("0.0.0.0", True)  # noqa: S104 of the container
    assert "--network container:asr-gateway" in call


# Its steps ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder in which stage one was carried out, and which the image's user can read."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("only root can run the gateway as another user in a file system of its own")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this container may not mount anything")
    with tempfile.TemporaryDirectory(prefix="asrgateway-image-") as directory:
        Path(directory).chmod(0o755)
        for step in BUILD:
            carry_out(step, Path(directory))
        for script in Path(f"{directory}{HOME}/bin").glob("asr-*"):
            script.write_text(script.read_text(encoding="utf-8").replace(f"#!{directory}", "#!"), encoding="utf-8")
        yield Path(directory)


def carry_out(step: Step, root: Path) -> None:
    source = root / "src"
    source.mkdir(exist_ok=True)
    match step.instruction:
        case "COPY":
            *copied, target = step.argument.split()
            for name in copied:
                copy(ROOT / name, source / (name if target == "./" else target))
        case "RUN":
            subprocess.run(["bash", "-ec", in_folder(step.argument, root)], cwd=source, check=True, capture_output=True)


def copy(origin: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(origin, target)


def in_folder(command: str, root: Path) -> str:
    """The command with the folder in the place of / and this Python in the place of the image's."""
    command = re.sub(r"(?<=\s)/(opt|wheels)", rf"{root}/\1", f" {command}")
    command = re.sub(r"python -m pip --python (\S+) install", rf"{BIN}/uv pip install --quiet --python \1", command)
    return re.sub(r"(?<=\s)python (?=-m)", f"{sys.executable} ", command)


#: Mounts what the image would hold, drops every right, and becomes the gateway.
SANDBOX: Final = """
mount -t tmpfs tmpfs "$ROOT/sandbox" && cd "$ROOT/sandbox"
mkdir -p usr etc proc dev tmp .{home} ".$PREFIX"
for name in bin sbin lib lib64; do ! test -L /$name || cp -P /$name .; done
for path in /usr /etc /proc /dev "$PREFIX"; do mount --rbind "$path" ".$path"; done
mount --bind "$ROOT{home}" .{home}
for path in /usr /etc "$PREFIX" {home}; do mount -o remount,bind,ro ".$path"; done
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -o remount,ro "$ROOT/sandbox"
exec chroot . /usr/bin/setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all "$@"
""".replace("{home}", HOME)


@asynccontextmanager
async def in_sandbox(root: Path, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command as the chart does: as the image's user, with the pod's variables, with only /tmp to write to."""
    (root / "sandbox").mkdir(exist_ok=True)
    user, _, group = arguments(FINAL, "USER")[0].partition(":")
    image = final_environment() | {"PATH": f"{HOME}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    anywhere = {f"ASRGATEWAY_{port}LISTEN": "127.0.0.1:0" for port in ("", "HEALTH_", "HTTP_")}
    sandbox = {"ROOT": str(root), "PREFIX": sys.base_prefix, "USER_ID": user, "GROUP_ID": group}
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--mount", "bash", "-ec", SANDBOX, "sandbox", *command),
        env=image | environment(pod()) | anywhere | sandbox,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.timeout(300)
async def test_only_tmp_can_be_written(root: Path) -> None:
    program = f"id -u; for path in / /etc /var {HOME} {HOME}/bin /tmp; do touch $path/file && echo $path; done"
    async with in_sandbox(root, "sh", "-c", program) as process:
        out, _ = await process.communicate()
    assert out.decode().split() == ["10001", "/tmp"]  # noqa: S108 the one that can be


@pytest.mark.timeout(300)
async def test_the_gateway_recognizes_speech_as_the_images_user(root: Path) -> None:
    async with in_sandbox(root, "asr-gateway", "serve") as process:
        gateway = GatewayProcess(process)
        async with grpc.aio.insecure_channel(await gateway.address("health")) as channel:
            request = health_pb2.HealthCheckRequest(service="readiness")
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=60)
        async with grpc.aio.insecure_channel(await gateway.address("grpc")) as channel:
            stub = pb_grpc.SpeechRecognitionServiceStub(channel)
            outcome = await recognize(stub, [config(), *in_messages(pcm(RECORDINGS / "boy.wav"))])
        test = only(objects(), "Pod", "-test-health")["spec"]["containers"][0]["command"]
        async with in_sandbox(root, *test[:-1], await gateway.address("health")) as of_chart:
            told, _ = await of_chart.communicate()
        process.terminate()
        assert told.decode().split("\n") == ["liveness SERVING", "readiness SERVING", "startup SERVING", ""]
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert outcome.texts == ["the boy was there when the sun rose"]
        assert await gateway.exit_code() == 0


@pytest.mark.timeout(300)
async def test_the_environment_holds_what_the_lock_names_and_no_pip(root: Path) -> None:
    program = "import importlib.metadata as m; print(*sorted(d.metadata['Name'].lower() for d in m.distributions()))"
    async with in_sandbox(root, "python", "-c", program) as process:
        out, _ = await process.communicate()
    installed = set(out.decode().replace("_", "-").replace(".", "-").split())
    lock = (ROOT / "server" / "requirements.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert {"asrgateway", "asrgateway-server"} <= installed
    assert installed - {"asrgateway", "asrgateway-server"} <= named
