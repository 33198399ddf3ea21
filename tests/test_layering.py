"""Imports point one way: from the face of the gateway to its vocabulary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import asrgateway_server
import dashscope_emulator

SERVER = Path(asrgateway_server.__file__).parent
EMULATOR = Path(dashscope_emulator.__file__).parent

#: From left to right: a module imports what stands in its own row or below, never what stands above. Vendors stand
#: beside it: see below.
ROWS = (
    ("__main__",),
    ("cli",),
    ("guidance",),
    ("lifecycle",),
    ("riva_api",),
    ("grpc_api", "web_api"),
    ("admission",),
    ("contract",),
    ("call",),
    ("backends", "served_models"),
    ("audio",),
    ("languages",),
    ("config",),
    ("models",),
    ("watched_files", "early_end"),
    ("events", "settings", "errors"),
    ("files",),
)
#: What vendors may import is from here on.
OF_VENDORS = "backends"
LEVELS = {name: level for level, row in enumerate(ROWS) for name in row}

#: These may be used from everywhere left of the audio, and use nothing of ours themselves.
SERVICES = {"logs", "metrics", "tracing"}

#: What nobody may import who only turns values into values.
IMPURE = {"aiohttp", "asyncio", "grpc", "logging", "os", "random", "socket", "subprocess", "threading", "time"}
PURE_FILES = (
    "backends/circuit_breaker.py",
    "riva_api/encodings.py",
    "riva_api/fields.py",
    "riva_api/model_list.py",
    "riva_api/requests.py",
    "riva_api/results.py",
    "riva_api/sizes.py",
)
PURE = ("audio", "languages", "config", "served_models", "models", "events", "errors")

#: Names of the packages that carry the contract.
WIRE = {"asrgateway", "google", "grpc", "grpc_health", "grpc_reflection"}


def part(path: Path) -> str:
    """The module or package directly below the server's that a file belongs to."""
    return path.relative_to(SERVER).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = sorted(SERVER.rglob("*.py"))
OURS = [(path, name.split(".")[1]) for path in FILES for name in imports(path) if name.startswith("asrgateway_server.")]
LIBRARIES = [(path, name.split(".")[0]) for path in FILES for name in imports(path)]
IN_EMULATOR = sorted({name for path in EMULATOR.rglob("*.py") for name in imports(path)})


def is_pure(path: Path) -> bool:
    """Whether a file only turns values into values."""
    return part(path) in PURE or "adapters" in path.parts or path.relative_to(SERVER).as_posix() in PURE_FILES


def told(pairs: list[tuple[Path, str]]) -> list[str]:
    """Offences as a reader wants to see them."""
    return sorted({f"{path.relative_to(SERVER)} imports {name}" for path, name in pairs})


def test_every_module_has_its_place() -> None:
    known = {*LEVELS, *SERVICES, "vendors", "__init__"}
    assert sorted({part(path) for path in FILES} - known) == []


def test_imports_point_from_left_to_right() -> None:
    assert (
        told(
            [
                (path, name)
                for path, name in OURS
                if part(path) in LEVELS and name in LEVELS and LEVELS[name] < LEVELS[part(path)]
            ]
        )
        == []
    )


def test_logs_and_metrics_serve_what_stands_left_of_the_audio() -> None:
    limit = LEVELS["audio"]
    assert told([(path, name) for path, name in OURS if name in SERVICES and LEVELS.get(part(path), 0) >= limit]) == []


def test_logs_and_metrics_know_nothing_of_ours() -> None:
    assert told([(path, name) for path, name in OURS if part(path) in SERVICES]) == []


def test_what_is_pure_reaches_for_nothing_outside() -> None:
    assert told([(path, name) for path, name in LIBRARIES if is_pure(path) and name in IMPURE]) == []


def test_only_the_doors_and_what_they_share_know_protobuf_and_grpc() -> None:
    known = {"grpc_api", "riva_api", "web_api", "admission", "contract"}
    offences = [(path, name) for path, name in LIBRARIES if part(path) not in known and name in WIRE]
    assert told(offences) == ["metrics.py imports grpc"]


def test_no_door_knows_another_one() -> None:
    doors = {"grpc_api", "riva_api", "web_api"}
    foreign = [(path, name) for path, name in OURS if part(path) in doors and name in doors - {part(path)}]
    # Riva's service is on the gRPC port.
    assert told([(path, name) for path, name in foreign if (part(path), name) != ("riva_api", "grpc_api")]) == []


def test_the_door_for_browsers_needs_no_grpc() -> None:
    foreign = WIRE - {"asrgateway"}
    assert told([(path, name) for path, name in LIBRARIES if part(path) == "web_api" and name in foreign]) == []


def test_metrics_take_only_the_names_of_statuses_from_grpc() -> None:
    tree = ast.parse((SERVER / "metrics.py").read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "grpc"
    }
    assert used == {"StatusCode"}


def test_the_emulator_imports_only_the_pocketsphinx_decoder_of_the_gateway() -> None:
    decoder = "asrgateway_server.vendors.pocketsphinx.decoder"
    assert {name.rpartition(".")[0] for name in IN_EMULATOR if name.startswith("asrgateway")} == {decoder}


def test_only_the_command_line_knows_the_emulator() -> None:
    assert (
        told([(path, name) for path, name in LIBRARIES if name == "dashscope_emulator" and part(path) != "cli"]) == []
    )


# Vendors ----------------------------------------------------------------------------------------------------------

#: One vendor's name, families, hosts and headers, in whatever spelling.
OF_DASHSCOPE = re.compile(r"dash.?scope|para.?former|fun.?asr|qwen|aliyun|alibaba|model.?studio", re.IGNORECASE)
#: The registry's line, and the emulator that the command line runs.
MAY_NAME_IT = {
    "vendors/registry.py": [
        "from asrgateway_server.vendors.dashscope.vendor import DashScope",
        '"dashscope": DashScope(),',
    ],
    "cli.py": ["import dashscope_emulator as emulator"] * 2,
}


def test_only_the_command_line_imports_vendors() -> None:
    offences = [(path, name) for path, name in OURS if name == "vendors" and part(path) not in {"vendors", "cli"}]
    assert told(offences) == []


def test_the_command_line_knows_vendors_by_the_registry() -> None:
    known = [name for name in imports(SERVER / "cli.py") if name.startswith("asrgateway_server.vendors.")]
    assert known == ["asrgateway_server.vendors.registry.VENDORS"]


def test_vendors_import_what_stands_right_of_the_calls() -> None:
    limit = LEVELS[OF_VENDORS]
    assert (
        told([(path, name) for path, name in OURS if part(path) == "vendors" and LEVELS.get(name, limit) < limit]) == []
    )


def test_no_vendor_imports_another_one() -> None:
    folders = [path for path in FILES if part(path) == "vendors" and len(path.relative_to(SERVER).parts) > 2]
    foreign = [
        (path, name)
        for path in folders
        for name in imports(path)
        if name.startswith("asrgateway_server.vendors.")
        and not name.startswith(f"asrgateway_server.vendors.{path.relative_to(SERVER).parts[1]}.")
    ]
    assert told(foreign) == []


def test_only_its_own_folder_names_dashscope() -> None:
    named = {
        str(path.relative_to(SERVER)): [
            line.partition("  # noqa")[0].strip() for line in path.read_text().splitlines() if OF_DASHSCOPE.search(line)
        ]
        for path in FILES
        if path.relative_to(SERVER).parts[:2] != ("vendors", "dashscope")
    }
    assert {file: lines for file, lines in named.items() if lines} == MAY_NAME_IT
