"""What the operator chooses, once per process."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from asrgateway_server.files import read_file, shown

PREFIX: Final = "ASRGATEWAY_"
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
MAX_PORT: Final = 65_535
_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
#: Models of a route; each may cost a call some seconds before it tries the next one.
MAX_CANDIDATES: Final = 8
_KEY: Final = re.compile(r"[!-~]{1,1024}")
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


def parse_address(value: object) -> Address:
    """Read ``host:port``; an IPv6 host stands in brackets."""
    if isinstance(value, Address):
        return value
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > MAX_PORT:
        raise ValueError("must be host:port, such as 127.0.0.1:50051 or [::]:50051")
    return Address(host.strip("[]"), int(port))


def is_key(text: str) -> bool:
    """Say whether a text may be a key: printable ASCII without blanks, so that it fits into a header."""
    return _KEY.fullmatch(text) is not None


def _verify_key(key: SecretStr) -> SecretStr:
    if not is_key(key.get_secret_value()):
        raise ValueError("must be a key: printable ASCII without blanks")
    return key


def key_in(data: bytes) -> str:
    """Return the key that a file's content is; raise ValueError, without a word of it, if it is none."""
    try:
        key = data.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("cannot be read: it is no text") from None
    if not is_key(key):
        raise ValueError("holds no key: one line of printable ASCII without blanks")
    return key


def _verify_collector(url: str) -> str:
    """Take what ``/v1/traces`` can follow."""
    try:
        parts = urlsplit(url)
        is_valid = not url or (bool(parts.hostname) and parts.port != 0 and not parts.query and not parts.fragment)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(
            "must be scheme and host, with a port where it is not the usual one, such as http://[::1]:4318"
        )
    return url


def _read_route(value: object) -> object:
    """Read what an alias stands for."""
    names = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not 1 <= len(names) <= MAX_CANDIDATES or not all(isinstance(name, str) for name in names):
        raise ValueError(f"must be the name of a model, or a list of 1 to {MAX_CANDIDATES} names")
    return names


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches a listener's host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_optional_address(value: object) -> Address | None:
    return parse_address(value) if value else None


def _verify_origin(text: str) -> str:
    parts = urlsplit(text)
    if text != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"}):
        raise ValueError("must be an origin: scheme and host, with a port where it is not the usual one, or *")
    return text


class CannotListen(SettingsError):
    """A port is taken, or its address is not one of this machine.

    Attributes:
        address: Where the gateway should have listened.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(f"cannot listen on {address}: the port is in use, or the address is not one of this machine")
        self.address = address


ListenAddress = Annotated[Address, NoDecode, BeforeValidator(parse_address), PlainSerializer(str)]
OptionalAddress = Annotated[Address | None, NoDecode, BeforeValidator(_read_optional_address), PlainSerializer(str)]
Origin = Annotated[str, AfterValidator(_verify_origin)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
ApiKey = Annotated[SecretStr, AfterValidator(_verify_key)]
Name = Annotated[str, Field(pattern=_NAME_PATTERN)]
#: The names of models, in the order in which calls try them.
Route = Annotated[tuple[str, ...], BeforeValidator(_read_route)]
#: How records within settings are read.
RECORD: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)


class ModelSettings(BaseModel):
    """One more model of a kind that the gateway knows, or a known one with other properties."""

    model_config = RECORD

    name: Name
    """What clients ask for. The name of a model that is there anyway replaces it."""

    like: str = ""
    """The model whose properties it has, but for those given here."""

    backend: str = ""
    """How it is reached: a backend, as `asr-gateway models` shows them. Needed without `like`."""

    vendor_model: str = ""
    """What the vendor calls it. Default: its name."""

    endpoint: str = ""
    """Where it is reached: a name of `endpoints`. Default: the vendor's own."""

    languages: tuple[str, ...] | None = None
    """BCP-47 codes of the languages it knows. Needed without `like`."""

    rates_hertz: Annotated[tuple[Annotated[int, Field(ge=4_000, le=192_000)], ...], Field(min_length=1)] | None = None
    """Rates of audio it takes. Needed without `like`."""

    upstream_encoding: Literal["linear16", "ogg_opus"] | None = None
    """How audio is sent to it. Default: `linear16`. `ogg_opus`: an eighth of the bytes, for more processor time; see
    [transports](transports.md)."""

    options: tuple[str, ...] | None = None
    """Paths in `streaming_config` of the options it honours, as `features.enable_emotion`; with `=true` or `=false`
    for that value only."""

    price_per_second_cny: Annotated[float, Field(ge=0)] | None = None
    """List price of a second of audio."""

    retirement_date: date | None = None
    """The day the vendor ends it, as YYYY-MM-DD."""

    @model_validator(mode="after")
    def _verify_properties(self) -> Self:
        if not self.like and not (self.backend and self.languages is not None and self.rates_hertz):
            raise ValueError("needs like, or backend, languages and rates_hertz")
        return self


class Settings(BaseSettings):
    """The gateway's own settings; each vendor adds its own. docs/settings.md is written from the descriptions."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    listen: ListenAddress = Address("127.0.0.1", 50051)
    """Where clients reach the gateway: gRPC, without TLS unless `tls_cert_file` is set."""

    health_listen: ListenAddress = Address("127.0.0.1", 50052)
    """Where probes reach it: gRPC health checking, always plaintext, never counted against a limit."""

    http_listen: ListenAddress = Address("127.0.0.1", 9464)
    """Where Prometheus finds `/metrics`."""

    web_listen: OptionalAddress = None
    """Where browsers reach the gateway: WebSocket, and a [page](web.md). With TLS if `tls_cert_file` is set. Default:
    nowhere; `serve --web` opens 127.0.0.1:8080."""

    web_origins: tuple[Origin, ...] = ()
    """The origins whose pages may call through `web_listen`, such as `https://app.example.com`. Default: only pages
    from there. `*`: any page."""

    listen_offset: int = Field(default=0, ge=0, le=MAX_PORT)
    """Added to every port that this gateway listens on, except port 0: one setting, such as 10, for a second gateway on
    the same machine."""

    tls_cert_file: str = ""
    """Certificate chain in PEM that clients see on the gRPC port. Read again when it changes; so are the next three."""

    tls_key_file: str = ""
    """Private key of the certificate, in PEM, without a password."""

    tls_client_ca_file: str = ""
    """Certificates in PEM: clients must show one that these have signed (mutual TLS)."""

    api_keys_file: str = ""
    """Who may call: a line for each key, as `asr-gateway hash-key` prints it. See [security](security.md)."""

    allow_anonymous: bool = False
    """Let anyone call who reaches the port. Where `listen` is no loopback address, the gateway does not start without
    this, `api_keys_file` or `tls_client_ca_file`."""

    reflection: bool = True
    """Whether the gRPC port describes its contract, so that tools need no files."""

    riva_facade: bool = False
    """Serve [NVIDIA Riva's clients](riva.md) too, on the gRPC port."""

    riva_strict: bool = False
    """Refuse what a Riva client asks for and the gateway or the model ignores or changes; also end its call when audio
    is lost."""

    riva_ignored_languages: tuple[str, ...] = ()
    """Language codes of Riva's clients that count as none, such as `en-US`, which many send by themselves."""

    allow_caller_keys: bool = False
    """Let clients bring keys of their own for the vendors, in the [metadata](security.md) of their calls."""

    models: tuple[ModelSettings, ...] = ()
    """More models; see [below](#models)."""

    aliases: dict[Name, Route] = {}
    """Other names, each for a model, or for a [route](models.md#routes): a list of up to 8 models, of which a call uses
    the first that can be reached. `default` for clients that name none."""

    upstream_ca_file: str = ""
    """Certificates in PEM that the vendor's one is checked against. Default: the system's."""

    default_model: str = ""
    """The model for clients that name none; the alias `default` does the same. Default: the best one
    that there is a key for, else the embedded one."""

    max_streams: int = Field(default=500, ge=1)
    """Open calls of `Recognize`; one more is refused with RESOURCE_EXHAUSTED. A call with channel mode SEPARATE counts
    as many as it has channels."""

    max_channels: int = Field(default=16, ge=1, le=16)
    """Channels of one call with channel mode SEPARATE; with more the call ends with INVALID_ARGUMENT."""

    max_client_streams: int = Field(default=0, ge=0)
    """Open calls of one client: of a key, else of a certificate, else of an address (in IPv6 of a /64 network). One
    more is refused with RESOURCE_EXHAUSTED. 0: as many as `max_streams`. Without keys all clients behind a proxy share
    its address. A call with channel mode SEPARATE counts as many as it has channels."""

    max_client_starts_per_minute: int = Field(default=0, ge=0)
    """Calls that one client, as above, may start in a minute; so many may come at once. 0: as many as it likes."""

    max_commits_per_minute: int = Field(default=120, ge=1)
    """Commits that one call may send in a minute; so many may come at once. One more ends the call with
    RESOURCE_EXHAUSTED."""

    max_message_bytes: int = Field(default=2 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Largest audio message that is taken."""

    max_metadata_bytes: int = Field(default=16 * 1024, ge=1024, le=1024 * 1024)
    """Most metadata that a call may bring; with more it ends with RESOURCE_EXHAUSTED."""

    max_connection_age_seconds: Annotated[float, Field(ge=0, le=604_800)] = 1800.0
    """After so long, give or take a tenth, clients are asked to open another connection, so that they find new
    gateways; their open calls go on. 0: never."""

    max_calls_per_address: int = Field(default=0, ge=0)
    """Open calls of `Recognize` and `ListModels` from one address (in IPv6 of a /64 network), also of clients that show
    no key. One more is refused with RESOURCE_EXHAUSTED. 0: as many as it likes, because clients behind a proxy share
    its address."""

    max_connection_idle_seconds: Annotated[float, Field(ge=0, le=604_800)] = 300.0
    """A connection without a call is closed after so long; clients open another one for their next call. 0: never."""

    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Open connections to `listen`; one more is closed at once. Fewer where the system does not allow as many open
    files, which the log then says."""

    handshake_timeout_seconds: Annotated[float, Field(ge=0.1, le=600)] = 10.0
    """How long a new connection may take to agree on TLS and HTTP/2; on `http_listen`, how long it may take to send a
    request or to read the response."""

    max_http_connections: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Open connections to `http_listen`; one more is closed at once."""

    max_http_connections_per_peer: Annotated[int, Field(ge=1, le=10_000)] = 20
    """The same, of one address."""

    max_web_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Open connections to `web_listen`; one more is closed at once."""

    max_web_connections_per_peer: Annotated[int, Field(ge=0, le=100_000)] = 0
    """The same, of one address. 0: all of them, because browsers behind a proxy share its address."""

    max_utterance_seconds: Annotated[float, Field(ge=1, le=60)] = 20.0
    """An utterance that goes on for longer is ended as a commit would end it, and one of three quarters of this in the
    next pause of its speaker; earlier while tasks are lost again and again."""

    config_timeout_seconds: Seconds = 10.0
    """How long a new call may take to send its `streaming_config`, and one of `ListModels` its request."""

    first_audio_timeout_seconds: Seconds = 300.0
    """How long a call may then take to send its first audio; empty audio is none. It ends with DEADLINE_EXCEEDED."""

    write_timeout_seconds: Seconds = 60.0
    """How long a client may leave a response unread before its call is ended."""

    cursor_interval_seconds: Seconds = 10.0
    """After so much quiet a response with only `cursor` keeps proxies awake."""

    quiet_after_seconds: Annotated[float, Field(ge=0.1, le=60)] = 0.5
    """How long a client's audio may lag behind the clock before silence is sent in its place; a call may choose."""

    max_injected_silence_seconds: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    """How much silence in a row, which the vendor bills, is sent in a client's place. After it no more is added until
    audio comes, as with the keep-alive policy OFF."""

    task_silence_seconds: Annotated[float, Field(ge=1, le=60)] = 50.0
    """Models without a heartbeat switch end a task after 60 s of silence: after so much a new task follows unseen."""

    task_idle_seconds: Annotated[float, Field(ge=0.1, le=20)] = 10.0
    """A vendor's task is opened as soon as a call begins, so that its first word comes fast; vendors end it as an error
    when no audio comes for 23 s. After so much it is ended unseen, and another one begins with the first audio."""

    backlog_speed: Annotated[float, Field(ge=1, le=1000)] = 3.0
    """How many times faster than realtime the vendor is sent audio that waits; the embedded model takes it at once."""

    hibernate_after_seconds: Seconds = 30.0
    """How long a client must have been quiet until the vendor's task is ended, for calls with the keep-alive policy
    HIBERNATE; the next audio opens another one."""

    hedge_after_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    """A call whose model is not ready after so long begins at the next model of its route too; the first that is ready
    recognizes it, and the other is left before it has had any audio. It costs a vendor's task starts, which are
    limited. 0: a call waits for its own model."""

    max_upstream_failures: Annotated[int, Field(ge=0, le=100)] = 5
    """How often a call's upstream may fail within a minute; one more failure ends the call with UNAVAILABLE. A final
    result, or half a minute without a failure, starts the count anew. 0: the first failure ends the call."""

    reconnect_pause_seconds: Annotated[float, Field(ge=0, le=60)] = 0.1
    """The longest pause before the upstream is tried again; three times as long after each further failure."""

    circuit_open_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """For how long no task of a model is started after too many were lost before they began. Then one may try; each try
    that fails doubles the time, up to 12 times this. See [routes](models.md#routes)."""

    replay_seconds: Annotated[float, Field(ge=0, le=600)] = 60.0
    """How much audio without a final result a call keeps, to have it recognised again when the upstream is lost."""

    replay_megabytes: Annotated[float, Field(ge=0, le=1_000_000)] = 256.0
    """How much of it all calls together keep; beyond that, those that keep most keep less."""

    replay_speed: Annotated[float, Field(ge=1, le=1000)] = 10.0
    """How many times faster than realtime the vendor is sent audio again."""

    upstream_ready_timeout_seconds: Seconds = 10.0
    """How long a backend may take until it accepts audio."""

    upstream_stall_timeout_seconds: Seconds = 8.0
    """How long a backend may leave a commit or the end of the audio unanswered, take no audio, or be sent speech, which
    is audio louder than -45 dBFS, without any message; then it counts as lost. Raise it where clients
    send music or noise for longer, of which vendors say nothing."""

    max_task_starts_per_second: Annotated[float, Field(ge=0, le=1000)] = 20.0
    """How many tasks a vendor is asked to start in any second, for each account and model. A call needs one when it
    begins, and later ones, such as after a commit where the dialect has none. More wait for their turn. Vendors count
    all gateways of an account together: divide their limit among replicas. 0: no limit."""

    max_task_start_wait_seconds: Annotated[float, Field(ge=0, le=600)] = 5.0
    """How long a task may wait for that; with a longer wait ahead its call ends with RESOURCE_EXHAUSTED at once."""

    warm_connections: Annotated[int, Field(ge=0, le=100)] = 2
    """Connections to a vendor that are opened before a call needs one, for each key of the gateway and each model or
    dialect; a call that finds one waits for no handshake. Opening one counts as the start of a task, and waits while
    others do. Calls with keys of their own get none. 0: none."""

    warm_connection_seconds: Annotated[float, Field(gt=0, le=3600)] = 45.0
    """How long one may wait for a call before another replaces it; vendors close one that has been idle for 60 s. Five
    minutes after the last call none is kept."""

    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 300.0
    """How long open calls may go on after SIGTERM; a second signal ends the wait. A stop takes 3 s more than this,
    `drain_finalize_seconds` and `last_scrape_seconds` at most."""

    drain_finalize_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    """How long a call that is cut may take for its last result."""

    last_scrape_seconds: Annotated[float, Field(ge=0, le=600)] = 20.0
    """How long `/metrics` is served after a SIGTERM that cut calls, so that Prometheus sees how many: a little longer
    than its interval. Not after Ctrl-C, nor once a second signal has come; 0: never."""

    max_stream_seconds: Annotated[float, Field(ge=0, le=604_800)] = 0.0
    """How long a call may last; 0: for ever. `going_away` says so 30 s ahead; then it ends with UNAVAILABLE, and its
    client goes on in a new one."""

    revision: str = "unknown"
    """The commit that the program was built from, as `asrgateway_build_info` shows it; images set it."""

    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://.+)?$"), AfterValidator(_verify_collector)] = ""
    """Where traces go: OTLP over HTTP, such as `http://collector:4318` or `https://user:password@[2001:db8::1]:4318`.
    Needs `asrgateway-server[tracing]`. Empty: no traces; the ids of clients that trace still stand in the log."""

    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the calls that are traced, of those whose clients have not decided it."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least important lines that are logged."""

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
        values |= cls.values_from(environ)
        try:
            values |= _Environment(cls, environ)()
            cls.refuse_secrets(values)
            settings = cls(**values)
        except ValidationError as error:
            raise SettingsError(_explain(cls, error)) from None
        except SourceError as error:
            raise SettingsError(f"{error}; lists and mappings are written in JSON there") from None
        return settings.shifted().completed(environ)

    def listeners(self) -> dict[str, Address]:
        """Return where the gateway listens, by setting."""
        return {name: value for name, value in self if isinstance(value, Address)}

    def shifted(self) -> Self:
        """Return the settings with ``listen_offset`` added to the ports.

        Raises:
            SettingsError: There is no such port.
        """
        ports = {name: at.port + self.listen_offset for name, at in self.listeners().items() if at.port}
        if beyond := [name for name, port in ports.items() if port > MAX_PORT]:
            raise SettingsError(f"{PREFIX}LISTEN_OFFSET: with it {beyond[0]} would be beyond port {MAX_PORT}")
        return self.model_copy(update={name: getattr(self, name)._replace(port=port) for name, port in ports.items()})

    @classmethod
    def values_from(cls, environ: Mapping[str, str]) -> dict[str, Any]:  # noqa: ARG003  Any: as above
        """Return what variables of other names than the prefix's say; vendors add theirs.

        Raises:
            SettingsError: One names a file that is of no use.
        """
        return {}

    @classmethod
    def refuse_secrets(cls, values: Mapping[str, object], file: str = "") -> None:
        """Raise SettingsError for a secret that stands where none may; vendors know theirs.

        Args:
            values: What was read.
            file: Where, as errors show it; empty: variables too.
        """

    def completed(self, environ: Mapping[str, str]) -> Self:  # noqa: ARG002 for vendors
        """Return the settings with what they refer to, once they are valid; vendors add theirs.

        Raises:
            SettingsError: What is referred to is not there.
        """
        return self


class _Environment(EnvSettingsSource):
    """The variables that were given, in place of the process's own."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}


def verify_key_file(name: str, path: str) -> None:
    """Raise SettingsError if the file that a setting names holds no key."""
    try:
        key_in(read_file(Path(path)))
    except OSError as error:
        raise SettingsError(f"{name} names {shown(path)}, which cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{name} names {shown(path)}, which {error}") from None


def _from_file(settings: type[Settings], path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SettingsError(f"{CONFIG_VARIABLE} names {shown(path)}, which is no file")
    try:
        values = YamlConfigSettingsSource(settings, yaml_file=path)()
    except Exception as error:  # noqa: BLE001 the reader raises its parser's own family, and plain errors
        # The error's own text may quote the file.
        mark = getattr(error, "problem_mark", None)
        where = f"; see line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{shown(path)} cannot be read as YAML, names with values{where}") from None
    names = set(settings.model_fields)
    if unknown := sorted(str(name) for name in values if name not in names):
        raise SettingsError("; ".join(f"{shown(path)}: {did_you_mean(name, names)}" for name in unknown))
    settings.refuse_secrets(values, shown(path))
    return values


def _refuse_unknown(environ: Mapping[str, str], fields: set[str]) -> None:
    known = {PREFIX + field.upper() for field in fields} | {CONFIG_VARIABLE}
    unknown = sorted(
        name for name in environ if name.startswith(PREFIX) and name not in known and not _OF_KUBERNETES.search(name)
    )
    if unknown:
        raise SettingsError("; ".join(did_you_mean(name, known) for name in unknown))


def did_you_mean(name: str, known: Collection[str], what: str = "setting") -> str:
    """Say that a name is not known, and which of the known ones is nearest."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{name} is no {what}" + (f"; did you mean {near[0]}?" if near else "")


def unknown_value(value: str, known: Collection[str], what: str) -> str:
    """Say the same of a setting's value, which is only shown where it is nearly a known one: it may be a secret."""
    is_near = difflib.get_close_matches(value, known, n=1)
    return did_you_mean(value, known, what) if is_near else f"this is no {what}"


def record_of(settings: type[BaseModel], field: str) -> type[BaseModel] | None:
    """Return what a list or mapping of a setting holds; None if that is no record."""
    parts = get_args(settings.model_fields[field].annotation)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _explain(settings: type[BaseModel], error: ValidationError) -> str:
    """Say what is wrong with each setting, without its value: it may be a secret."""
    return "; ".join(
        _explain_one(settings, detail["loc"], detail["type"], detail["msg"].removeprefix("Value error, "))
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    )


def _explain_one(settings: type[BaseModel], location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = str(location[0])
    if len(location) == 1:
        return f"{PREFIX}{field.upper()}: {message}"
    path = field + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location[1:])
    record = record_of(settings, field)
    if kind == "extra_forbidden" and record:
        known = {name for name, info in record.model_fields.items() if not info.exclude}
        return did_you_mean(path, [path.rpartition(".")[0] + "." + name for name in known])
    return f"{path}: {message}"
