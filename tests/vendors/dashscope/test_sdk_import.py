from __future__ import annotations

import logging
from importlib import metadata

import pytest

from asrgateway_server.vendors.dashscope.sdk_import import TESTED_VERSIONS, warn_of_untested_version


def warnings_with(version: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[object]:
    """What the log says of both versions."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(metadata, "version", lambda _: version)
    warn_of_untested_version()
    return [(vars(record)["installed"], vars(record)["tested"]) for record in caplog.records]


@pytest.mark.parametrize("version", ["2.0.1", "2.1.0", "1.25.3", "3.0.2", "2.0.2rc1"])
def test_another_version_of_the_sdk_is_said_with_the_tested_one(
    version: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings_with(version, monkeypatch, caplog) == [(version, TESTED_VERSIONS)]


@pytest.mark.parametrize("version", ["2.0.2", "2.0.9", "2.0.10", "2.0.2.post1"])
def test_a_tested_version_needs_no_word(
    version: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings_with(version, monkeypatch, caplog) == []
