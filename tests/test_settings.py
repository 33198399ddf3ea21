from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from all_settings import Settings
from asrgateway_server.backends.vendor import settings_class
from asrgateway_server.settings import Address, SettingsError, parse_address
from asrgateway_server.settings import Settings as GatewaySettings
from asrgateway_server.vendors.registry import VENDORS

SECRET = "sk-c0ffee"  # noqa: S105 nobody's


def read(**variables: str) -> Settings:
    return Settings.from_environment(variables)


def file(folder: Path, text: str) -> str:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return str(path)


def test_the_command_line_composes_the_settings_of_all_vendors() -> None:
    composed = settings_class(VENDORS)
    assert composed.model_json_schema()["properties"] == Settings.model_json_schema()["properties"]
    assert (
        composed.from_environment({"DASHSCOPE_API_KEY": SECRET}).model_dump()
        == read(DASHSCOPE_API_KEY=SECRET).model_dump()
    )


def test_without_vendors_there_are_the_gateways_own_settings() -> None:
    assert settings_class({}).model_fields.keys() == GatewaySettings.model_fields.keys()


# Variables --------------------------------------------------------------------------------------------------------


def test_without_variables_everything_has_a_default() -> None:
    settings = read()
    assert settings.listen == Address("127.0.0.1", 50051)
    assert settings.max_streams == 500


def test_a_variable_sets_the_setting_of_its_name() -> None:
    assert read(ASRGATEWAY_MAX_UTTERANCE_SECONDS="12.5").max_utterance_seconds == 12.5


def test_one_setting_moves_every_port_but_port_0() -> None:
    settings = read(ASRGATEWAY_LISTEN_OFFSET="10", ASRGATEWAY_HEALTH_LISTEN="[::1]:0")
    moved = {"listen": Address("127.0.0.1", 50061), "http_listen": Address("127.0.0.1", 9474)}
    assert settings.listeners().items() >= (moved | {"health_listen": Address("::1", 0)}).items()


def test_a_port_beyond_the_last_one_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingsError, match=r"^ASRGATEWAY_LISTEN_OFFSET: with it listen would be beyond port 65535$"):
        read(ASRGATEWAY_LISTEN_OFFSET="20000")


def test_variables_of_others_are_none_of_our_business() -> None:
    assert read(PATH="/bin", HOME="/root", LISTEN="0.0.0.0:1", MAX_STREAMS="1") == read()


def test_the_process_itself_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASRGATEWAY_MAX_STREAMS", "7")
    assert read().max_streams == 500


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("ASRGATEWAY_MAX_STREAM", "ASRGATEWAY_MAX_STREAMS"),
        ("ASRGATEWAY_LISTN", "ASRGATEWAY_LISTEN"),
        ("ASRGATEWAY_LOGLEVEL", "ASRGATEWAY_LOG_LEVEL"),
        ("ASRGATEWAY_CONFIGS", "ASRGATEWAY_CONFIG"),
        ("ASRGATEWAY_DRAIN_SECOND", "ASRGATEWAY_DRAIN_SECONDS"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_the_nearest(misspelt: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{misspelt} is no setting; did you mean {meant}\?$"):
        read(**{misspelt: "1"})


def test_a_variable_like_no_other_is_an_error_too() -> None:
    with pytest.raises(SettingsError, match=r"^ASRGATEWAY_QQQQQQQQQQQQ is no setting$"):
        read(ASRGATEWAY_QQQQQQQQQQQQ="1")


def test_all_misspelt_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"ASRGATEWAY_LISTN .*; ASRGATEWAY_MAX_STREAM "):
        read(ASRGATEWAY_MAX_STREAM="1", ASRGATEWAY_LISTN="1")


@pytest.mark.parametrize(
    "name",
    [
        "ASRGATEWAY_SERVICE_HOST",
        "ASRGATEWAY_SERVICE_PORT",
        "ASRGATEWAY_SERVICE_PORT_GRPC",
        "ASRGATEWAY_PORT",
        "ASRGATEWAY_PORT_50051_TCP",
        "ASRGATEWAY_PORT_50051_TCP_ADDR",
        "ASRGATEWAY_HEADLESS_SERVICE_HOST",
        "ASRGATEWAY_METRICS_PORT_9464_TCP_PROTO",
    ],
)
def test_what_kubernetes_says_about_services_is_ignored(name: str) -> None:
    assert read(**{name: "tcp://10.0.0.1:50051"}) == read()


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("0.0.0.0:65535", Address("0.0.0.0", 65_535)),  # noqa: S104 only parsed
        ("localhost:50051", Address("localhost", 50_051)),
        ("[::1]:50051", Address("::1", 50_051)),
        ("[::]:1", Address("::", 1)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text
    assert read(ASRGATEWAY_LISTEN=text).listen == address


@pytest.mark.parametrize(
    "text", ["", "50051", ":50051", "localhost", "localhost:", "localhost:x", "localhost:-1", "localhost:65536"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^ASRGATEWAY_LISTEN: .*must be host:port, such as 127\.0\.0\.1:50051"):
        read(ASRGATEWAY_LISTEN=text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASRGATEWAY_MAX_STREAMS", "0"),
        ("ASRGATEWAY_MAX_STREAMS", "many"),
        ("ASRGATEWAY_MAX_STREAMS", "1.5"),
        ("ASRGATEWAY_EMBEDDED_WORKERS", "-1"),
        ("ASRGATEWAY_EMBEDDED_WORKERS", "257"),
        ("ASRGATEWAY_MAX_MESSAGE_BYTES", "1023"),
        ("ASRGATEWAY_MAX_UTTERANCE_SECONDS", "0.9"),
        ("ASRGATEWAY_MAX_UTTERANCE_SECONDS", "nan"),
        ("ASRGATEWAY_CONFIG_TIMEOUT_SECONDS", "0"),
        ("ASRGATEWAY_WRITE_TIMEOUT_SECONDS", "inf"),
        ("ASRGATEWAY_DRAIN_SECONDS", "-1"),
        ("ASRGATEWAY_LOG_LEVEL", "loud"),
        ("ASRGATEWAY_MAX_STREAMS", ""),
    ],
)
def test_a_value_out_of_range_names_its_setting(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        read(**{name: value})


@pytest.mark.parametrize(
    "name", ["ASRGATEWAY_LISTEN", "ASRGATEWAY_MAX_STREAMS", "ASRGATEWAY_LOG_LEVEL", "ASRGATEWAY_DRAIN_SECONDS"]
)
def test_a_rejected_value_is_never_printed(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: SECRET})
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_misspelt_variables_value_is_never_printed() -> None:
    with pytest.raises(SettingsError) as caught:
        read(ASRGATEWAY_DASHSCOPE_API_KEYS=SECRET)
    assert SECRET not in str(caught.value)


# The file ---------------------------------------------------------------------------------------------------------


def test_a_file_sets_settings(tmp_path: Path) -> None:
    settings = read(ASRGATEWAY_CONFIG=file(tmp_path, "max_streams: 7\nlisten: 0.0.0.0:1234\n"))
    assert (settings.max_streams, settings.listen.port) == (7, 1234)


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, "max_streams: 7\nlog_level: DEBUG\n")
    settings = read(ASRGATEWAY_CONFIG=path, ASRGATEWAY_MAX_STREAMS="8")
    assert (settings.max_streams, settings.log_level) == (8, "DEBUG")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read(ASRGATEWAY_CONFIG=file(tmp_path, "")) == read()


def test_a_misspelt_line_of_the_file_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.yaml: max_stream is no setting; did you mean max_streams\?"):
        read(ASRGATEWAY_CONFIG=file(tmp_path, "max_stream: 7\n"))


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"ASRGATEWAY_CONFIG names /nowhere/gateway\.yaml, which is no file"):
        read(ASRGATEWAY_CONFIG="/nowhere/gateway.yaml")


@pytest.mark.parametrize("text", ["a: [1, 2", "- max_streams", "just a text", "\tlisten: x", "a: !!python/object:x {}"])
def test_a_file_that_is_no_mapping_in_yaml_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.yaml"):
        read(ASRGATEWAY_CONFIG=file(tmp_path, text))


@pytest.mark.parametrize("line", [f"max_streams: {SECRET}", f"listen: {SECRET}", f"listen: [{SECRET}]"])
def test_a_rejected_value_of_the_file_is_never_printed(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(ASRGATEWAY_CONFIG=file(tmp_path, line))
    assert SECRET not in str(caught.value)


# The key ----------------------------------------------------------------------------------------------------------


def key_of(settings: Settings) -> str | None:
    return settings.dashscope_api_key.get_secret_value() if settings.dashscope_api_key else None


def test_without_a_key_there_is_none() -> None:
    assert key_of(read(DASHSCOPE_API_KEY=" ")) is None


def test_the_key_comes_from_its_variable_without_blanks() -> None:
    assert key_of(read(DASHSCOPE_API_KEY=f" {SECRET}\n")) == SECRET


def test_a_key_in_a_file_stays_there_to_be_read_when_it_changes(tmp_path: Path) -> None:
    path = file(tmp_path, f"{SECRET}\n")
    settings = read(DASHSCOPE_API_KEY_FILE_PATH=path)
    assert (key_of(settings), settings.dashscope_api_key_file) == (None, path)
    assert settings.has_key


def test_the_variable_wins_over_the_key_file() -> None:
    assert key_of(read(DASHSCOPE_API_KEY=SECRET, DASHSCOPE_API_KEY_FILE_PATH="/nowhere")) == SECRET


def test_the_configuration_may_name_the_key_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    path = file(tmp_path, f"dashscope_api_key_file: {tmp_path}/key\n")
    assert read(ASRGATEWAY_CONFIG=path).has_key


@pytest.mark.parametrize("text", ["", " \n", "two words", "schlüssel"])
def test_a_key_file_without_a_key_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"DASHSCOPE_API_KEY_FILE_PATH names .*, which holds no key") as caught:
        read(DASHSCOPE_API_KEY_FILE_PATH=file(tmp_path, text))
    assert not text.strip() or text not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "schlüssel", "a\r\nX-Other: b"])
def test_what_fits_into_no_header_is_no_key(key: str) -> None:
    with pytest.raises(SettingsError, match="ASRGATEWAY_DASHSCOPE_API_KEY: must be a key") as caught:
        read(DASHSCOPE_API_KEY=key)
    assert key not in str(caught.value)


def test_a_key_in_the_file_of_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.yaml: a key never stands in this file") as caught:
        read(ASRGATEWAY_CONFIG=file(tmp_path, f"dashscope_api_key: {SECRET}\n"))
    assert SECRET not in str(caught.value)


def test_a_key_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SettingsError, match="DASHSCOPE_API_KEY_FILE_PATH names /nowhere, which cannot be read"):
        read(DASHSCOPE_API_KEY_FILE_PATH="/nowhere")


def test_a_key_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\0")
    with pytest.raises(SettingsError, match=r"DASHSCOPE_API_KEY_FILE_PATH names .*key, which cannot be read"):
        read(DASHSCOPE_API_KEY_FILE_PATH=str(tmp_path / "key"))


def test_the_key_is_never_printed() -> None:
    settings = read(DASHSCOPE_API_KEY=SECRET)
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


# Endpoints, models, aliases ---------------------------------------------------------------------------------------

SINGAPORE = "url: wss://dashscope-intl.aliyuncs.com"


def configured(folder: Path, text: str, **variables: str) -> Settings:
    return read(ASRGATEWAY_CONFIG=file(folder, text), **variables)


def test_a_file_adds_endpoints_models_and_aliases(tmp_path: Path) -> None:
    settings = configured(
        tmp_path,
        f"endpoints: {{sg: {{{SINGAPORE}, workspace: ws-1}}}}\n"
        "models: [{name: new, like: paraformer-realtime-v2, endpoint: sg, retirement_date: 2027-01-31}]\n"
        "aliases: {fast: new}\n",
    )
    assert settings.endpoints["sg"].workspace == "ws-1"
    assert settings.models[0].retirement_date == date(2027, 1, 31)
    assert settings.aliases == {"fast": ("new",)}


def test_a_variable_holds_them_in_json() -> None:
    settings = read(ASRGATEWAY_MODELS='[{"name": "new", "like": "old"}]', ASRGATEWAY_ALIASES='{"fast": ["new", "old"]}')
    assert (settings.models[0].like, settings.aliases) == ("old", {"fast": ("new", "old")})


def test_an_alias_is_a_model_or_a_list_of_models(tmp_path: Path) -> None:
    settings = configured(tmp_path, "aliases: {one: a, same: [a], several: [a, b, c]}")
    assert settings.aliases == {"one": ("a",), "same": ("a",), "several": ("a", "b", "c")}


def test_what_is_no_json_names_its_variable_and_nothing_else() -> None:
    with pytest.raises(SettingsError, match=r"models.*JSON") as caught:
        read(ASRGATEWAY_MODELS=f"name: {SECRET}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [{name: a, like: b}, {nam: a}]", r"models\[1\]\.nam is no setting; did you mean models\[1\]\.name\?"),
        (f"endpoints: {{sg: {{{SINGAPORE}, worspace: x}}}}", r"did you mean endpoints\.sg\.workspace\?"),
        ("models: [{name: a}]", r"^models\[0\]: needs like, or backend, languages and rates_hertz$"),
        ("models: [{name: a, like: b, rates_hertz: [1]}]", r"^models\[0\]\.rates_hertz\[0\]: .*4000"),
        ("models: [{name: a b, like: b}]", r"^models\[0\]\.name: "),
        ("models: [{name: a, like: b, retirement_date: soon}]", r"^models\[0\]\.retirement_date: "),
        ("models: {name: a}", r"^ASRGATEWAY_MODELS: "),
        ("endpoints: {sg: {}}", r"^endpoints\.sg\.url: Field required$"),
        (f"endpoints: {{sg: {{{SINGAPORE}, workspace: -}}}}", r"^endpoints\.sg\.workspace: "),
        (f"endpoints: {{sg: {{{SINGAPORE}, api_key_file: a, api_key_variable: b}}}}", r"^endpoints\.sg: .*not both$"),
        (f"endpoints: {{sg: {{{SINGAPORE}, api_key_file: /nowhere}}}}", r"^endpoints\.sg\.api_key_file names /nowhere"),
        (
            f"endpoints: {{sg: {{{SINGAPORE}, api_key_variable: SG}}}}",
            r"^endpoints\.sg\.api_key_variable: .* holds no key$",
        ),
        (f"endpoints: {{sg: {{{SINGAPORE}, api_key: {SECRET}}}}}", r"^endpoints\.sg\.api_key: a key never stands here"),
        (f"endpoints: {{sg: {{url: {SECRET}}}}}", r"^endpoints\.sg\.url: must be scheme, host and port"),
        ("aliases: {fast: []}", r"^aliases\.fast: must be the name of a model, or a list of 1 to 8 names$"),
        ("aliases: {fast: {a: b}}", r"^aliases\.fast: must be the name of a model, or a list"),
        ("aliases: {fast: [a, 1]}", r"^aliases\.fast: must be the name of a model, or a list"),
        ("aliases: {fast: [a, b, c, d, e, f, g, h, i]}", r"^aliases\.fast: must be .* 1 to 8 names$"),
        ("aliases: [a]", r"^ASRGATEWAY_ALIASES: "),
    ],
)
def test_an_error_names_its_path_and_no_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        configured(tmp_path, text)
    assert SECRET not in str(caught.value)


def test_the_key_of_an_endpoint_comes_from_its_variable(tmp_path: Path) -> None:
    text = f"endpoints: {{sg: {{{SINGAPORE}, api_key_variable: SG_KEY}}}}"
    settings = configured(tmp_path, text, SG_KEY=f"{SECRET}\n")
    key = settings.endpoints["sg"].api_key
    assert key is not None
    assert key.get_secret_value() == SECRET
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "url",
    ["wss://dashscope.aliyuncs.com", "ws://127.0.0.1:8765", "ws://[::1]:8765", "wss://{workspace}.cn-beijing.maas.x"],
)
def test_an_endpoint_is_scheme_host_and_port(url: str) -> None:
    assert read(ASRGATEWAY_DASHSCOPE_URL=f"{url}/").dashscope_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dashscope.aliyuncs.com",
        "https://dashscope.aliyuncs.com",
        "wss://",
        "wss://host/api-ws/v1/inference",
        "wss://host?api_key=x",
        "wss://user:password@host",
        "wss://host:99999",
        "wss://[::1",
        "wss://{region}.host",
        "wss://two words",
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^ASRGATEWAY_DASHSCOPE_URL: must be scheme, host and port"):
        read(ASRGATEWAY_DASHSCOPE_URL=url)


@pytest.mark.parametrize(
    "endpoint", ["http://collector:4318", "http://[::1]:4318", "https://user:p%40ss@[2001:db8::1]/otlp", ""]
)
def test_a_collector_is_an_address_of_any_kind(endpoint: str) -> None:
    assert Settings.from_environment({"ASRGATEWAY_OTLP_ENDPOINT": endpoint}).otlp_endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint", ["http://[::1:4318", "http://c:99999", "http://c:port", "http://c/?a=b", "http://:1"]
)
def test_what_is_no_address_of_a_collector_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"^ASRGATEWAY_OTLP_ENDPOINT: .*must be scheme and host") as caught:
        Settings.from_environment({"ASRGATEWAY_OTLP_ENDPOINT": endpoint})
    assert endpoint not in str(caught.value)
