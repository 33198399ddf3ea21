"""The contract is clean, and what was generated from it is fresh."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from asrgateway.v1 import recognition_pb2
from calls import ROOT

#: Keywords of C++, C#, Dart, Go, Java, JavaScript, Kotlin, PHP, Python, Ruby, Rust and Swift; many generators escape
#: them, each in its own way.
RESERVED = frozenset((ROOT / "tests" / "reserved_words.txt").read_text().split())


def test_the_generated_modules_are_fresh(installed: Callable[[Path], Path]) -> None:
    generator = installed(ROOT / ".venv" / "protos" / "bin" / "python")
    run = subprocess.run(
        [generator, "protos/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_contract_follows_the_rules_of_buf(installed: Callable[[Path], Path]) -> None:
    buf = installed(Path(sys.executable).with_name("buf"))
    run = subprocess.run([buf, "lint", "protos"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_no_earlier_client_breaks(installed: Callable[[Path], Path]) -> None:
    buf = installed(Path(sys.executable).with_name("buf"))
    breaking: list[str | Path] = [buf, "breaking", "protos", "--against", "protos/baseline.binpb"]
    run = subprocess.run(breaking, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_no_field_has_a_name_that_a_language_reserves() -> None:
    messages = recognition_pb2.DESCRIPTOR.message_types_by_name.values()
    names = {name for message in messages for name in (*message.fields_by_name, *message.oneofs_by_name)}
    assert not names & RESERVED


def test_the_contract_names_its_place_in_each_language() -> None:
    assert {option.name for option, _ in recognition_pb2.DESCRIPTOR.GetOptions().ListFields()} == {
        "csharp_namespace",
        "go_package",
        "java_multiple_files",
        "java_outer_classname",
        "java_package",
        "objc_class_prefix",
        "php_namespace",
        "ruby_package",
    }
