"""Whatever stands in the wrong place, a key above all: an error at the start names the setting and not its value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from all_settings import Settings
from asrgateway_server.errors import GatewayError
from asrgateway_server.lifecycle import running_gateway
from asrgateway_server.settings import ModelSettings, SettingsError
from asrgateway_server.vendors.dashscope.settings import EndpointSettings
from asrgateway_server.vendors.registry import VENDORS

SECRET = "sk-4f7c1d9e2b8a4c6d"  # noqa: S105 nobody's
ANYWHERE = {
    "ASRGATEWAY_LISTEN": "127.0.0.1:0",
    "ASRGATEWAY_HEALTH_LISTEN": "127.0.0.1:0",
    "ASRGATEWAY_HTTP_LISTEN": "127.0.0.1:0",
    "ASRGATEWAY_EMBEDDED_WORKERS": "0",
    "DASHSCOPE_API_KEY": "sk-other",
}


async def said_of(environ: dict[str, str]) -> str:
    """What a start says; nothing if it succeeds."""
    try:
        async with running_gateway(Settings.from_environment(ANYWHERE | environ), VENDORS):
            return ""
    except (SettingsError, GatewayError) as error:
        return str(error)


@pytest.mark.parametrize("field", sorted({*Settings.model_fields} - {"dashscope_api_key"}))
async def test_a_variable_with_a_key_in_it_is_not_repeated(field: str) -> None:
    assert SECRET not in await said_of({f"ASRGATEWAY_{field.upper()}": SECRET})


@pytest.mark.parametrize("value", [SECRET, [SECRET], {"x": SECRET}, {"x": {"y": SECRET}}], ids=json.dumps)
@pytest.mark.parametrize("field", ["endpoints", "models", "aliases", "transports"])
async def test_a_collection_with_a_key_in_it_is_not_repeated(field: str, value: object) -> None:
    assert SECRET not in await said_of({f"ASRGATEWAY_{field.upper()}": json.dumps(value)})


@pytest.mark.parametrize("field", sorted({*EndpointSettings.model_fields}))
async def test_an_endpoint_with_a_key_in_it_is_not_repeated(field: str) -> None:
    endpoints: Any = {"lab": {"url": "wss://lab.example.com", field: SECRET}}
    said = await said_of({"ASRGATEWAY_ENDPOINTS": json.dumps(endpoints)})
    assert SECRET not in said


@pytest.mark.parametrize("field", sorted({*ModelSettings.model_fields} - {"name"}))
async def test_a_model_with_a_key_in_it_is_not_repeated(field: str) -> None:
    whole: Any = {"name": "a", "like": "paraformer-realtime-v2", field: SECRET}
    lists: Any = whole | {field: [SECRET]}
    for model in (whole, lists):
        assert SECRET not in await said_of({"ASRGATEWAY_MODELS": json.dumps([model])})


@pytest.mark.parametrize("name", ["DASHSCOPE_API_KEY_FILE_PATH", "ASRGATEWAY_CONFIG"])
async def test_a_path_that_is_a_key_is_not_repeated(name: str) -> None:
    said = await said_of({name: SECRET, "DASHSCOPE_API_KEY": ""})
    assert name in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"- {SECRET}",
        f'"{SECRET}',
        f"listen: [{SECRET}",
        f"listen: !{SECRET} x",
        f"listen: *{SECRET}",
        f"listen: {SECRET}: {SECRET}",
        f"dashscope_api_key: {SECRET}",
        f"endpoints: {{lab: {{url: 'wss://lab.example.com', api_key: {SECRET}}}}}",
        f"{{{SECRET}",
    ],
)
async def test_a_file_with_a_key_in_it_is_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    said = await said_of({"ASRGATEWAY_CONFIG": str(path)})
    assert said
    assert SECRET not in said
