from __future__ import annotations

import pytest

from all_settings import Settings
from asrgateway_server.settings import SettingsError
from asrgateway_server.vendors.dashscope.endpoints import DEFAULT_ENDPOINT, Endpoint, endpoints_of, region_of

HOST = "wss://{workspace}.cn-beijing.maas.aliyuncs.com"


def endpoints(**settings: object) -> dict[str, Endpoint]:
    return dict(endpoints_of(Settings(**settings)))  # type: ignore[arg-type] # validated when it is made


def test_without_any_there_is_the_default_one() -> None:
    assert endpoints() == {
        "dashscope": Endpoint(name="dashscope", url="wss://dashscope.aliyuncs.com", region="cn-beijing")
    }


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("wss://dashscope.aliyuncs.com", "cn-beijing"),
        ("wss://dashscope.aliyuncs.com:443", "cn-beijing"),
        ("wss://dashscope-intl.aliyuncs.com", "ap-southeast-1"),
        ("wss://cn-hongkong.dashscope.aliyuncs.com", "cn-hongkong"),
        ("wss://ws-1.ap-southeast-1.maas.aliyuncs.com", "ap-southeast-1"),
        (HOST, "cn-beijing"),
        ("ws://127.0.0.1:8765", ""),
        ("wss://dashscope.aliyuncs.com.example.org", ""),
    ],
)
def test_the_vendors_hosts_tell_their_region(url: str, region: str) -> None:
    assert region_of(url) == region


def test_the_operator_may_tell_the_region_of_any_other_host() -> None:
    found = endpoints(endpoints={"lab": {"url": "ws://127.0.0.1:8765", "region": "cn-beijing"}})
    assert found["lab"].region == "cn-beijing"


@pytest.mark.parametrize(
    ("url", "http"),
    [
        ("wss://dashscope.aliyuncs.com", "https://dashscope.aliyuncs.com/api/v1"),
        ("ws://127.0.0.1:8765", "http://127.0.0.1:8765/api/v1"),
        (HOST, "https://ws-1.cn-beijing.maas.aliyuncs.com/api/v1"),
    ],
)
def test_http_is_spoken_at_the_same_host(url: str, http: str) -> None:
    assert Endpoint(name="some", url=url, workspace="ws-1").http_url() == http


def test_the_workspace_is_part_of_the_host_where_the_url_says_so() -> None:
    endpoint = Endpoint(name="some", url=HOST, workspace="ws-1")
    assert endpoint.websocket_url() == "wss://ws-1.cn-beijing.maas.aliyuncs.com"
    assert endpoint.websocket_url("ws-2") == "wss://ws-2.cn-beijing.maas.aliyuncs.com"


def test_an_endpoint_without_a_key_uses_the_one_of_the_default() -> None:
    found = endpoints(dashscope_api_key="sk-1", endpoints={"sg": {"url": "wss://sg"}})
    assert found["sg"].key == found[DEFAULT_ENDPOINT].key
    assert found["sg"].has_key


def test_an_endpoint_with_a_key_file_uses_only_that() -> None:
    found = endpoints(dashscope_api_key="sk-1", endpoints={"sg": {"url": "wss://sg", "api_key_file": "/key"}})
    assert (found["sg"].key, found["sg"].key_file) == (None, "/key")


def test_nobody_else_may_be_called_dashscope() -> None:
    with pytest.raises(SettingsError, match=r"^endpoints\.dashscope: this is the name of dashscope_url"):
        endpoints(endpoints={"dashscope": {"url": "wss://host"}})


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"dashscope_url": HOST}, "dashscope_workspace"),
        ({"endpoints": {"w": {"url": HOST}}}, r"endpoints\.w\.workspace"),
    ],
)
def test_a_host_made_of_the_workspace_needs_one(settings: dict[str, object], path: str) -> None:
    with pytest.raises(SettingsError, match=f"^{path} is not set"):
        endpoints(**settings)
    assert endpoints(**settings, allow_caller_keys=True)


def test_a_key_is_in_no_repr() -> None:
    assert "sk-1" not in repr(endpoints(dashscope_api_key="sk-1"))
