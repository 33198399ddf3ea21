"""What the operator chooses, once per process."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, PlainSerializer, SecretStr, ValidationError, WithJsonSchema
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

PREFIX: Final = "ASRGATEWAY_"
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
KEY_VARIABLE: Final = "DASHSCOPE_API_KEY"
KEY_FILE_VARIABLE: Final = "DASHSCOPE_API_KEY_FILE_PATH"
# Kubernetes describes every service of the namespace in variables such as ASRGATEWAY_SERVICE_HOST.
_OF_KUBERNETES: Final = re.compile(r"_(SERVICE_|PORT(_|$))")


class SettingsError(Exception):
    """A setting is unknown, unreadable or out of range; the message names it and says what would be right."""


class Address(NamedTuple):
    """Where a port listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object) -> object:
    """Read ``host:port``; an IPv6 host stands in brackets."""
    if isinstance(value, Address):
        return value
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("must be host:port, such as 127.0.0.1:50051 or [::]:50051")
    return Address(host.strip("[]"), int(port))


def parse_transports(value: object) -> object:
    """Read ``name=transport``, several of them parted by commas."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("must be name=transport, such as paraformer=official_sdk, parted by commas")
    return {name.strip(): transport.strip() for name, _, transport in pairs}


Transport = Literal["websocket", "official_sdk"]
Transports = Annotated[
    dict[str, Transport], NoDecode, BeforeValidator(parse_transports), WithJsonSchema({"type": "string"})
]
ListenAddress = Annotated[Address, NoDecode, BeforeValidator(parse_address), PlainSerializer(str)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """Every setting, with its default; docs/settings.md is written from these descriptions."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    listen: ListenAddress = Address("127.0.0.1", 50051)
    """Where callers reach the gateway: gRPC without TLS."""

    health_listen: ListenAddress = Address("127.0.0.1", 50052)
    """Where probes reach it: gRPC health checking, always plaintext, never counted against a limit."""

    http_listen: ListenAddress = Address("127.0.0.1", 9464)
    """Where Prometheus finds `/metrics`."""

    dashscope_api_key: SecretStr | None = None
    """Key of Alibaba Cloud's Model Studio, from `DASHSCOPE_API_KEY` or the file that `DASHSCOPE_API_KEY_FILE_PATH`
    names. Without one only the embedded model is served."""

    dashscope_url: Annotated[str, Field(pattern=r"^wss?://[^/]+/?$")] = "wss://dashscope.aliyuncs.com"
    """Scheme, host and port of Model Studio; `ws://127.0.0.1:8765` is the emulator. `HTTPS_PROXY` is honoured."""

    upstream_ca_file: str = ""
    """Certificates in PEM that the vendor's one is checked against. Default: the system's."""

    default_model: str = ""
    """The model for callers that name none. Default: `fun-asr-realtime` with a key, `embedded` without one."""

    transports: Transports = Field(default_factory=dict)
    """What carries a vendor's model, by model or backend, such as `paraformer=official_sdk`. `websocket`: the default;
    `official_sdk`: the vendor's own SDK, which is slower; see [transports](transports.md)."""

    hotword_tables: Literal["off", "create", "recycle"] = "create"
    """Whether hot words of calls become tables stored with the vendor, for models that need them. `create`: ten of
    them, the vendor's limit, and none is ever deleted; `recycle`: the gateway's own least used one makes room; see
    [hot words](hotwords.md)."""

    hotword_table_age_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = 3600.0
    """How old a table must be to be recycled; calls that run keep theirs."""

    hotword_timeout_seconds: Seconds = 5.0
    """How long a call may wait for its hot words to be compiled."""

    hotword_failures: Literal["warn", "fail"] = "warn"
    """What becomes of a call whose hot words cannot be compiled: it goes on with a warning, or ends."""

    embedded_workers: Annotated[int, Field(ge=0, le=256)] | None = None
    """Worker processes of the embedded recogniser, 105 MB each: as many calls it takes at once. Default: one for each
    core; none if there is a key and the embedded model is not the default one."""

    max_streams: int = Field(default=500, ge=1)
    """Open calls of `Recognize`; one more is refused with RESOURCE_EXHAUSTED."""

    max_message_bytes: int = Field(default=2 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Largest audio message that is taken."""

    max_utterance_seconds: Annotated[float, Field(ge=1, le=60)] = 20.0
    """An utterance that goes on for longer is ended as a commit would end it."""

    config_timeout_seconds: Seconds = 10.0
    """How long a new call may take to send its `streaming_config`."""

    write_timeout_seconds: Seconds = 60.0
    """How long a caller may leave a response unread before its call is ended."""

    cursor_interval_seconds: Seconds = 10.0
    """After so much quiet a response with only `cursor` keeps proxies awake."""

    quiet_after_seconds: Annotated[float, Field(ge=0.1, le=60)] = 0.5
    """How long a caller's audio may lag behind the clock before silence is sent in its place; a call may choose."""

    task_silence_seconds: Annotated[float, Field(ge=1, le=60)] = 50.0
    """Models without a heartbeat switch end a task after 60 s of silence: after so much a new task follows unseen."""

    backlog_speed: Annotated[float, Field(ge=1, le=1000)] = 3.0
    """How many times faster than realtime the vendor is sent audio that waits; the embedded model takes it at once."""

    upstream_ready_timeout_seconds: Seconds = 10.0
    """How long a backend may take until it accepts audio."""

    upstream_stall_timeout_seconds: Seconds = 10.0
    """How long a backend may leave audio, or the end of it, unanswered."""

    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 300.0
    """How long open calls may go on after SIGTERM; a second signal ends the wait. A stop takes 3 s
    more than this and `drain_finalize_seconds` at most."""

    drain_finalize_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    """How long a call that is cut may take for its last result."""

    max_stream_seconds: Annotated[float, Field(ge=0, le=604_800)] = 0.0
    """How long a call may last; 0: for ever. Told 30 s ahead by `going_away`; then it ends with UNAVAILABLE, and its
    caller goes on in a new one."""

    revision: str = "unknown"
    """The commit that the program was built from, as `asrgateway_build_info` tells it; images set it."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least important lines that are logged."""

    @property
    def worker_count(self) -> int:
        """How many embedded workers are to be loaded."""
        if self.embedded_workers is not None:
            return self.embedded_workers
        is_wanted = self.dashscope_api_key is None or self.default_model == "embedded"
        return len(os.sched_getaffinity(0)) if is_wanted else 0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 the library passes all five
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller alone: ``from_environment`` gathers them."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read variables, and the file that ``ASRGATEWAY_CONFIG`` names; variables win.

        Raises:
            SettingsError: Something is misspelt, unreadable or out of range.
        """
        _refuse_unknown(environ, set(cls.model_fields))
        values: dict[str, Any] = {}  # Any: what stands in the file is only known once it is validated
        if path := environ.get(CONFIG_VARIABLE):
            values = _from_file(cls, Path(path))
        if key := _key_from(environ):
            values["dashscope_api_key"] = key
        try:
            return cls(**values | _Environment(cls, environ)())
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None


class _Environment(EnvSettingsSource):
    """The variables that were given, in place of the process's own."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}


def _key_from(environ: Mapping[str, str]) -> str:
    if key := environ.get(KEY_VARIABLE, "").strip():
        return key
    path = environ.get(KEY_FILE_VARIABLE)
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{KEY_FILE_VARIABLE} names {path}, which cannot be read: {reason}") from None


def _from_file(settings: type[Settings], path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SettingsError(f"{CONFIG_VARIABLE} names {path}, which is no file")
    try:
        values = YamlConfigSettingsSource(settings, yaml_file=path)()
    except Exception as error:  # noqa: BLE001 the reader raises its parser's own family, and plain errors
        raise SettingsError(f"{path} cannot be read as YAML: {str(error).splitlines()[0]}") from None
    if unknown := sorted(str(name) for name in values if name not in settings.model_fields):
        names = set(settings.model_fields)
        raise SettingsError("; ".join(f"{path}: {_did_you_mean(name, names)}" for name in unknown))
    return values


def _refuse_unknown(environ: Mapping[str, str], fields: set[str]) -> None:
    known = {PREFIX + field.upper() for field in fields} | {CONFIG_VARIABLE}
    unknown = sorted(
        name for name in environ if name.startswith(PREFIX) and name not in known and not _OF_KUBERNETES.search(name)
    )
    if unknown:
        raise SettingsError("; ".join(_did_you_mean(name, known) for name in unknown))


def _did_you_mean(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else "")


def _explain(error: ValidationError) -> str:
    """Say what is wrong with each setting, without its value: it may be a secret."""
    return "; ".join(
        f"{PREFIX}{'.'.join(str(part) for part in detail['loc']).upper()}: {detail['msg']}"
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    )
