"""What the pages and the notes tell to type works as it stands, in that order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from calls import ROOT
from charts import ANONYMOUS, CHART, Manifest, Values, container, merged, objects, only, templates, value

#: Takes the place of programs that need a cluster, a registry or an engine, and writes down what it is asked for.
#: Files that a Secret is made of must be there.
STUB: Final = """
import json, os, pathlib, sys
name, *arguments = pathlib.Path(sys.argv[0]).name, *sys.argv[1:]
files = {}
for argument in arguments:
    if argument.startswith("--from-file="):
        key, _, path = argument.removeprefix("--from-file=").rpartition("=")
        files[key or pathlib.Path(path).name] = pathlib.Path(path).read_text()
with open(os.environ["JOURNAL"], "a") as journal:
    print(json.dumps([name, arguments, files]), file=journal)
"""

PAGES: Final = {"project": (ROOT / "README.md", "Deploy on Kubernetes"), "chart": (CHART / "README.md", "Install")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a program was asked for; of a Secret also its content by key."""

    program: str
    arguments: list[str]
    files: dict[str, str]


def commands(page: Path, heading: str) -> str:
    """The lines of a section that are to be typed."""
    without_blocks = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    sections = re.split(r"^## ", without_blocks, flags=re.MULTILINE)
    (text,) = (one for one in sections if one.startswith(f"{heading}\n"))
    return "".join(f"{line[4:]}\n" for line in text.splitlines() if line.startswith("    "))


@pytest.fixture(scope="module", params=PAGES)
def journal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """What happens to somebody who types a section of a page, line by line."""
    folder = tmp_path_factory.mktemp("checkout")
    programs = folder / "programs"
    programs.mkdir()
    for name in ("kubectl", "helm", "docker", "git"):
        (programs / name).write_text(f"#!{sys.executable}\n{STUB}", encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / ".venv").symlink_to(sys.prefix)
    without_call = re.sub(r"^\.venv/bin/asr-client .*$", "", commands(*PAGES[request.param]), flags=re.MULTILINE)
    environ = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "JOURNAL": str(folder / "journal"),
        "DASHSCOPE_API_KEY": "sk-of-the-reader",
    }
    shell = ["bash", "-euo", "pipefail", "-c", without_call]
    subprocess.run(shell, cwd=folder, env=environ, check=True, capture_output=True)
    lines = (folder / "journal").read_text(encoding="utf-8").splitlines()
    return [Asked(program=line[0], arguments=line[1], files=line[2]) for line in map(json.loads, lines)]


def index(journal: list[Asked], *words: str) -> int:
    """Where the one request stands that has these words."""
    (found,) = (number for number, one in enumerate(journal) if set(words) <= {one.program, *one.arguments})
    return found


def secrets_mounted(spec: Manifest) -> Iterator[tuple[str, str]]:
    """Each Secret that pods wait for, and a key of it."""
    for volume in spec["volumes"]:
        for item in volume.get("secret", {}).get("items", []):
            yield volume["secret"]["secretName"], item["key"]


def test_every_secret_that_the_pods_wait_for_is_there_before_them(journal: list[Asked]) -> None:
    at = index(journal, "helm", "install")
    values: Values = {}
    for argument, content in zip(journal[at].arguments, journal[at].arguments[1:], strict=False):
        if argument == "--set":
            path, _, text = content.partition("=")
            values = merged(values, value(path, text))
    spec = only(objects(values), "Deployment")["spec"]["template"]["spec"]
    made = {one.arguments[5]: one.files for one in journal[:at] if one.arguments[2:4] == ["create", "secret"]}
    wanted = list(secrets_mounted(spec))
    assert sorted(wanted) == [("asr-gateway-callers", "api-keys"), ("model-studio", "api-key")]
    assert [one for one in wanted if one[1] not in made[one[0]]] == []
    assert made["model-studio"]["api-key"].strip() == "sk-of-the-reader"
    assert re.fullmatch(r"sha256:[0-9a-f]{64} team-a\n", made["asr-gateway-callers"]["api-keys"])


def test_the_namespace_is_there_before_what_is_put_into_it(journal: list[Asked]) -> None:
    at = index(journal, "kubectl", "create", "namespace", "speech")
    assert [one.arguments for one in journal[:at] if "--namespace" in one.arguments] == []


def test_the_test_is_run_when_the_pods_are_ready_and_shows_its_log(journal: list[Asked]) -> None:
    install, test = index(journal, "helm", "install"), index(journal, "helm", "test")
    assert install < test
    assert "--wait" in journal[install].arguments
    assert "--logs" in journal[test].arguments


def test_an_image_is_built_and_pushed_under_the_name_that_the_release_pulls() -> None:
    text = commands(*PAGES["chart"])
    (image,) = re.findall(r"^IMAGE=(\S+)$", text, re.MULTILINE)
    (registry,) = re.findall(r"image\.registry=(\S+)", text)
    spec = only(objects({"image": {"registry": registry}}), "Deployment")["spec"]["template"]["spec"]
    assert container(spec)["image"] == image


# Examples ----------------------------------------------------------------------------------------------------------


def test_the_example_that_counts_calls_gives_each_pod_its_own_cost(tmp_path: Path) -> None:
    """The job of the page, with a `kubectl` that knows two pods, one of which has two models in use."""
    text = (CHART / "README.md").read_text(encoding="utf-8")
    (example,) = (one for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "pod-deletion-cost" in one)
    job = only(objects(yaml.safe_load(example)), "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    metrics = "/api/v1/namespaces/speech/pods"
    (tmp_path / "kubectl").write_text(
        f"""#!/bin/sh
case "$*" in
    *"get pods -l app.kubernetes.io/instance=asr,app.kubernetes.io/component=gateway"*) echo pod/busy; echo pod/idle ;;
    "get --raw {metrics}/busy:9464/proxy/metrics")
        echo '# TYPE asrgateway_streams_active gauge'
        echo 'asrgateway_streams_active{{model="embedded"}} 2.0'
        echo 'asrgateway_streams_active{{model="fun-asr-realtime"}} 31.0'
        echo 'asrgateway_streams_limit 500.0' ;;
    "get --raw {metrics}/idle:9464/proxy/metrics") echo 'asrgateway_streams_limit 500.0' ;;
    *annotate*) echo "$*" ;;
esac
""",
        encoding="utf-8",
    )
    (tmp_path / "kubectl").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NAMESPACE": "speech"}
    command = job["containers"][0]["command"]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    cost = "controller.kubernetes.io/pod-deletion-cost"
    assert result.stdout.splitlines() == [
        f"--namespace speech annotate --overwrite pod/busy {cost}=33",
        f"--namespace speech annotate --overwrite pod/idle {cost}=0",
    ]


# Notes -------------------------------------------------------------------------------------------------------------


def notes(*overrides: Values) -> str:
    return templates(merged(*overrides))["NOTES.txt"]


def test_the_notes_show_the_key_wherever_one_is_asked_for() -> None:
    assert "asr-client file recording.wav --api-key-file KEY" in notes({"auth": {"existingSecret": "callers"}})
    assert "--api-key-file" not in notes(ANONYMOUS)


def test_the_notes_show_the_certificates_that_a_call_needs() -> None:
    tls = {"enabled": True, "existingSecret": "speech-tls", "clientCA": {"existingSecret": "authority"}}
    text = notes({"tls": tls})
    assert "--tls --ca CA.pem --target asr-asr-gateway.speech.svc:50051 --cert CLIENT.pem --key CLIENT.key" in text
    assert "get secret speech-tls authority" in text


def test_the_notes_name_the_secrets_that_pods_wait_for() -> None:
    keyed = {"auth": {"existingSecret": "callers"}, "dashscope": {"existingSecret": "vendor"}}
    assert "kubectl --namespace speech get secret callers vendor" in notes(keyed)
    assert "get secret" not in notes(ANONYMOUS)


def test_the_notes_ask_for_a_test_only_where_there_is_one() -> None:
    assert "helm test asr --namespace speech --logs" in notes(ANONYMOUS)
    assert "helm test" not in notes(ANONYMOUS, {"test": {"enabled": False}})
    assert "helm test" not in notes(ANONYMOUS, {"headless": {"enabled": False}})


def test_the_notes_warn_of_a_sidecar_without_a_limit() -> None:
    bounded = {"name": "bounded", "image": "a", "resources": {"limits": {"memory": "64Mi"}}}
    values = {
        "sidecars": [{"name": "boundless", "image": "a"}, bounded],
        "initContainers": [
            {"name": "stays", "image": "a", "restartPolicy": "Always"},
            {"name": "ends", "image": "a"},
        ],
    }
    assert re.findall(r"sidecar (\w+) has no memory limit", notes(ANONYMOUS, values)) == ["boundless", "stays"]


def test_the_notes_say_when_alerts_link_nowhere() -> None:
    rules = {"prometheusRule": {"enabled": True}}
    assert "set prometheusRule.runbookUrl" in notes(ANONYMOUS, rules)
    assert "runbookUrl" not in notes(ANONYMOUS, rules, value("prometheusRule.runbookUrl", "https://example.com"))


def test_the_notes_say_what_the_emulator_is() -> None:
    assert "those of the emulator" in notes(ANONYMOUS, {"extraArgs": ["--emulator"]})
