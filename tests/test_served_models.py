"""What the operator's configuration makes of the catalogue."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from all_settings import Settings
from asrgateway_server.models import Catalogue, Feature, UpstreamEncoding
from asrgateway_server.served_models import served_models
from asrgateway_server.settings import SettingsError
from asrgateway_server.vendors.dashscope.catalogue import DASHSCOPE_MODELS
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from asrgateway_server.vendors.registry import VENDORS

V2 = "paraformer-realtime-v2"
SINGAPORE = {"sg": {"url": "wss://dashscope-intl.aliyuncs.com"}}


def offer(*models: dict[str, Any], **settings: Any) -> Catalogue:
    return served_models(Settings(**{"dashscope_api_key": "sk-1", "models": models} | settings), VENDORS)


def test_without_a_key_only_the_embedded_model_is_there() -> None:
    assert set(offer(dashscope_api_key=None).models) == {"embedded"}


def test_with_callers_keys_the_vendors_models_are_there_without_an_own_one() -> None:
    served = offer(dashscope_api_key=None, allow_caller_keys=True)
    assert V2 in served.models
    assert served.find("") is EMBEDDED


def test_the_embedded_model_is_offered_with_a_key_too() -> None:
    assert offer().find("embedded") is EMBEDDED


def test_without_workers_the_embedded_model_is_not_offered() -> None:
    served = offer(embedded_workers=0)
    assert "embedded" not in served.models
    assert V2 in served.models


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"aliases": {"offline": "embedded"}}, r"aliases\.offline"),
        ({"aliases": {"default": [V2, "embedded"]}}, r"aliases\.default\[1\]"),
        ({"default_model": "embedded"}, "default_model"),
    ],
)
def test_a_known_model_that_is_not_served_is_named(settings: dict[str, Any], path: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{path}: embedded is not served under these settings"):
        offer(embedded_workers=0, **settings)


def test_a_gateway_without_workers_and_fun_asr_has_a_default_all_the_same() -> None:
    served = offer(embedded_workers=0, dashscope_url="wss://dashscope-intl.aliyuncs.com")
    assert served.find("").name in served.models


def test_a_gateway_that_offers_nothing_else_names_the_embedded_model_all_the_same() -> None:
    assert set(offer(dashscope_api_key=None, embedded_workers=0).models) == {"embedded"}


def test_a_key_in_a_file_is_a_key() -> None:
    assert V2 in offer(dashscope_api_key=None, dashscope_api_key_file="/run/key").models


def test_every_model_of_the_vendor_is_at_the_default_endpoint_in_its_region() -> None:
    rows = [row for row in offer().models.values() if row is not EMBEDDED]
    assert {(row.endpoint, row.regions) for row in rows} == {("dashscope", ("cn-beijing",))}


def test_an_endpoint_of_unknown_region_is_remote_too() -> None:
    row = offer(dashscope_url="ws://127.0.0.1:8765").find(V2)
    assert (row.regions, row.is_remote) == ((), True)


def test_a_model_that_the_vendor_does_not_serve_in_a_region_is_left_out() -> None:
    served = offer(dashscope_url="wss://dashscope-intl.aliyuncs.com")
    there = {row.name for row in DASHSCOPE_MODELS if "ap-southeast-1" in row.regions}
    assert set(served.models) == {"embedded", *there}


# Models -----------------------------------------------------------------------------------------------------------


def test_a_new_model_is_like_another_one_but_for_what_is_told() -> None:
    served = offer({"name": "new", "like": V2, "languages": ["es"], "price_per_second_cny": 0.5})
    new, old = served.find("new"), served.find(V2)
    assert (new.language_codes, new.price_per_second_cny) == (("es",), 0.5)
    assert (new.backend, new.sample_rates_hertz, new.options) == (old.backend, old.sample_rates_hertz, old.options)
    assert new.upstream_name == "new"


def test_a_new_model_may_be_like_no_other() -> None:
    told = {
        "backend": "paraformer",
        "languages": ["en"],
        "rates_hertz": [16_000, 8_000],
        "retirement_date": "2027-12-31",
    }
    new = offer({"name": "new", "options": ["features.enable_emotion"], **told}).find("new")
    assert (new.backend, new.sample_rates_hertz) == ("paraformer", (8_000, 16_000))
    assert new.features == {Feature.INTERIM_RESULTS, Feature.EMOTION}
    assert new.retirement_date == date(2027, 12, 31)


def test_a_model_may_have_another_name_for_the_vendor() -> None:
    served = offer({"name": "here", "like": V2, "vendor_model": V2}, {"name": "there", "like": "here"})
    assert (served.find("here").upstream_name, served.find("there").upstream_name) == (V2, V2)


def test_a_model_has_the_ways_of_the_one_that_it_is_like() -> None:
    v1 = "paraformer-realtime-v1"
    served = offer(
        {"name": "next", "like": v1},
        {"name": "here", "like": v1, "vendor_model": v1},
        {"name": "after", "like": "next"},
        {"name": "alone", "backend": "paraformer", "languages": ["en"], "rates_hertz": [16_000], "vendor_model": "v9"},
    )
    phrases, table = served.find(v1).hotwords, served.find(V2).hotwords
    assert [served.find(name).hotwords for name in ("next", "here", "after")] == [phrases] * 3
    assert served.find("alone").hotwords == table


def test_what_the_gateway_fills_follows_from_the_options_that_the_operator_gives() -> None:
    served = offer({"name": "new", "like": V2, "options": ["vendor_parameters", "endpointing.semantic"]})
    assert "semantic_punctuation_enabled" in served.find("new").owned_parameters
    assert "max_sentence_silence" not in served.find("new").owned_parameters


def test_a_model_takes_the_region_of_its_endpoint() -> None:
    new = offer({"name": "new", "like": V2, "endpoint": "sg"}, endpoints=SINGAPORE).find("new")
    assert (new.endpoint, new.regions) == ("sg", ("ap-southeast-1",))


def test_a_model_replaces_the_one_of_its_name() -> None:
    served = offer({"name": V2, "like": V2, "endpoint": "sg"}, endpoints=SINGAPORE)
    assert served.find(V2).endpoint == "sg"
    assert list(served.models).count(V2) == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"name": "a", "like": "paraformer-realtime"},
            r"\.like: .* is no model of a vendor; did you mean paraformer",
        ),
        ({"name": "a", "like": "embedded", "endpoint": "sg"}, r"\.endpoint: this model runs in the gateway"),
        ({"name": "a", "like": "embedded", "backend": "paraformer"}, r"\.backend: this is no backend of the vendor"),
        ({"name": "a", "like": V2, "endpoint": "sgp"}, r"\.endpoint: sgp is no endpoint; did you mean sg\?"),
        ({"name": "a", "like": V2, "backend": "parafomer"}, r"\.backend: .*did you mean paraformer\?"),
        ({"name": "a", "like": V2, "options": ["keepalive"]}, r"\.options: .*did you mean keep_alive\?"),
        ({"name": "embedded", "like": V2}, r"\.name: embedded has a meaning of its own"),
        ({"name": "default", "like": V2}, r"\.name: default has a meaning of its own"),
    ],
)
def test_a_model_that_cannot_be_names_its_path(model: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=rf"^models\[1\]{message}"):
        offer({"name": "first", "like": V2}, model, endpoints=SINGAPORE)


def test_a_model_that_nobody_has_a_key_for_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^models\[0\]: there is no key for its endpoint dashscope$"):
        offer({"name": "new", "like": V2}, dashscope_api_key=None)
    assert "new" in offer({"name": "new", "like": V2}, dashscope_api_key=None, allow_caller_keys=True).models


def test_a_model_may_be_one_of_any_vendor() -> None:
    new = offer({"name": "slow", "like": "embedded", "options": []}).find("slow")
    assert (new.backend, new.is_remote, new.options) == ("pocketsphinx", False, frozenset())


# Aliases ----------------------------------------------------------------------------------------------------------


def test_an_alias_stands_for_a_model() -> None:
    served = offer(aliases={"fast": V2, "offline": "embedded"})
    assert (served.find("fast").name, served.find("offline")) == (V2, EMBEDDED)


def test_an_alias_may_be_a_route() -> None:
    served = offer({"name": "far", "like": V2}, aliases={"fast": [V2, "far", "embedded"]})
    assert [model.name for model in served.find_route("fast")] == [V2, "far", "embedded"]
    assert served.find("fast").name == V2


def test_a_model_is_a_route_of_one() -> None:
    assert offer().find_route("embedded") == (EMBEDDED,)


@pytest.mark.parametrize(
    "settings",
    [
        {"aliases": {"default": "embedded"}},
        {"aliases": {"default": ["embedded", V2]}},
        {"default_model": "embedded"},
        {"default_model": "offline", "aliases": {"offline": "embedded"}},
        {"default_model": "offline", "aliases": {"offline": ["embedded", V2]}},
        {"default_model": "embedded", "aliases": {"default": "embedded"}},
    ],
)
def test_the_default_is_set_here_or_there(settings: dict[str, Any]) -> None:
    assert offer(**settings).find("") is EMBEDDED


def test_two_defaults_are_one_too_many() -> None:
    with pytest.raises(SettingsError, match=r"^aliases\.default and default_model name two different models"):
        offer(default_model=V2, aliases={"default": "embedded"})
    with pytest.raises(SettingsError, match=r"^aliases\.default and default_model name two different models"):
        offer(default_model=V2, aliases={"default": [V2, "embedded"]})


def test_a_default_that_is_not_served_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^default_model: this is no model that is served$"):
        offer(default_model="gpt")


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        (
            {"fast": "paraformer-realtime-v22"},
            r"fast: .* is no model that is served; did you mean paraformer-realtime-v2\?",
        ),
        ({"fast": V2, "faster": "fast"}, "faster: this is no model that is served"),
        ({V2: "embedded"}, f"{V2}: a model has this name"),
        ({"fast": [V2, "embeded"]}, r"fast\[1\]: .* is no model that is served; did you mean embedded\?"),
        ({"fast": [V2, "embedded", V2]}, r"fast\[2\]: paraformer-realtime-v2 is in this list already"),
    ],
)
def test_an_alias_that_cannot_be_names_its_path(aliases: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=rf"^aliases\.{message}"):
        offer(aliases=aliases)


def test_a_model_may_be_sent_opus() -> None:
    coded = {"name": "thrifty", "like": V2, "upstream_encoding": "ogg_opus"}
    assert offer(coded).find("thrifty").upstream_encoding is UpstreamEncoding.OGG_OPUS
    assert offer(coded).find(V2).upstream_encoding is UpstreamEncoding.LINEAR16


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (
            {"like": "qwen3-asr-flash-realtime"},
            "models of the backend qwen3_asr are not sent ogg_opus; use linear16",
        ),
        (
            {"like": V2, "rates_hertz": [16_000, 44_100]},
            "ogg_opus has no 44100 Hz; rates_hertz may be 8000, 12000, 16000, 24000, 48000",
        ),
    ],
)
def test_a_model_that_cannot_be_sent_opus_is_refused(model: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=rf"^models\[0\]\.upstream_encoding: {complaint}$"):
        offer({"name": "new", "upstream_encoding": "ogg_opus"} | model)
