"""Links, commands, metrics and statuses in the documentation exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import json_format
from prometheus_client import CollectorRegistry, generate_latest

from all_settings import Settings
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.contract.status import STATUSES
from asrgateway_server.metrics import Metrics
from asrgateway_server.served_models import served_models
from asrgateway_server.vendors.registry import VENDORS
from calls import ROOT

README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
PAGES = [
    README,
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "clients").glob("*/README.md")),
    ROOT / "helm" / "asr-gateway" / "README.md",
]


def links(page: Path) -> list[str]:
    """The relative links of a page, without what follows a #."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]


@pytest.mark.parametrize(
    "script", ["generate.py", "generate_metrics.py", "generate_options.py", "generate_emulator.py"]
)
def test_the_generated_pages_are_fresh(script: str) -> None:
    check = [sys.executable, str(ROOT / "docs" / script), "--check"]
    assert subprocess.run(check, capture_output=True, text=True, check=False).stderr == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages <= set(links(README))


@pytest.mark.parametrize("page", [README, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_make_command_is_a_target(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    commands = set(re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert commands
    assert commands <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_metric_that_is_named_exists(page: Path) -> None:
    exported = generate_latest(Metrics(CollectorRegistry()).registry).decode()
    families = set(re.findall(r"^# TYPE (\w+)", exported, re.MULTILINE))
    named = set(re.findall(r"\b((?:asrgateway|grpc_server)_\w+?)(?:_bucket)?\b", page.read_text(encoding="utf-8")))
    assert named - {"asrgateway_server"} <= families


def test_the_readme_explains_every_status() -> None:
    text = README.read_text(encoding="utf-8")
    assert [code.name for code in STATUSES.values() if f"| {code.name} |" not in text] == []


def test_the_api_page_has_every_error_with_its_status() -> None:
    table = API.read_text(encoding="utf-8").partition("<!-- errors: ")[2].partition("<!-- end of errors -->")[0]
    rows = re.findall(r"^\| ([A-Z_]+) \| ([A-Z_]+) \| [^|]+ \| [^|]+ \|$", table, re.MULTILINE)
    assert sorted(rows) == sorted((error.reason, code.name) for error, code in STATUSES.items())


def test_the_api_page_explains_every_event() -> None:
    text = API.read_text(encoding="utf-8")
    names = [name.removeprefix("STREAM_EVENT_TYPE_") for name in pb.StreamEventType.keys()]  # noqa: SIM118 no mapping
    assert [name for name in names[1:] if name not in text] == []


def test_the_frames_on_the_api_page_are_messages() -> None:
    frames = re.findall(r"`(\{.+?\})`", API.read_text(encoding="utf-8"))
    config, commit, update, finish, response, status = map(json.loads, frames)
    json_format.ParseDict(config, pb.StreamingConfig())
    for request in (commit, update):
        json_format.ParseDict(request, pb.RecognizeRequest())
    json_format.ParseDict(response, pb.RecognizeResponse())
    assert (finish, status) == ({"finish": {}}, {"status": {"code": 0}})


def test_the_example_of_a_configuration_is_one(tmp_path: Path) -> None:
    """As it stands but for the folder of its secrets."""
    for name in ("dashscope-beijing", "dashscope-singapore"):
        (tmp_path / name).write_text("sk-1")
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "gateway.yaml").write_text(example.replace("/run/secrets", str(tmp_path)), encoding="utf-8")
    environ = {"ASRGATEWAY_CONFIG": str(tmp_path / "gateway.yaml"), "SALES_API_KEY": "sk-2"}
    served = served_models(Settings.from_environment(environ), VENDORS)
    assert served.find("").name == "paraformer-realtime-v3"
    assert served.find("fast").upstream_name == "paraformer-realtime-v2"
    assert served.find("paraformer-english-8k").regions == ("ap-southeast-1",)


def test_the_service_config_shown_is_that_of_the_go_client() -> None:
    shown = API.read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0]
    client = (ROOT / "clients" / "go" / "client.go").read_text(encoding="utf-8")
    assert json.loads(shown) == json.loads(client.partition("serviceConfig = `")[2].partition("`")[0])
