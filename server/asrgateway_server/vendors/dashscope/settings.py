"""What the operator chooses of Model Studio."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator
from pydantic_settings import NoDecode

from asrgateway_server.settings import (
    RECORD,
    ApiKey,
    Name,
    Seconds,
    Settings,
    SettingsError,
    is_key,
    verify_key_file,
)

KEY_VARIABLE: Final = "DASHSCOPE_API_KEY"
KEY_FILE_VARIABLE: Final = "DASHSCOPE_API_KEY_FILE_PATH"
#: Source: Model Studio manual, "regions"; the official SDK refuses every other.
WORKSPACE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_URL: Final = re.compile(r"wss?://[^\s/?#@{}]+/?")


def _verify_url(url: str) -> str:
    """Take ``wss://host:port``; a part of the host may be ``{workspace}``."""
    message = "must be scheme, host and port, such as wss://dashscope.aliyuncs.com or ws://127.0.0.1:8765"
    plain = url.replace("{workspace}", "workspace")
    try:
        parts = urlsplit(plain)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or not _URL.fullmatch(plain):
        raise ValueError(message)
    return url.rstrip("/")


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
Url = Annotated[str, AfterValidator(_verify_url)]
Workspace = Annotated[str, Field(pattern=rf"^({WORKSPACE_PATTERN.strip('^$')})?$")]


class EndpointSettings(BaseModel):
    """One more place where the vendor is reached: another region, a workspace's own host, another account."""

    model_config = RECORD

    url: Url
    """Scheme, host and port; `{workspace}` in it stands for the workspace's id."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,63}$")] = ""
    """What clients see, such as `ap-southeast-1`. Default: what the vendor's own host names say."""

    workspace: Workspace = ""
    """Id of the workspace, sent as `X-DashScope-WorkSpace`."""

    api_key_file: str = ""
    """The file that holds its key; read again when it changes."""

    api_key_variable: str = ""
    """The environment variable that holds its key. Default, without a file: the key of `dashscope_url`."""

    api_key: Annotated[ApiKey | None, Field(exclude=True, repr=False)] = None
    """What the variable holds. Never written in a file."""

    @model_validator(mode="after")
    def _verify_one_key(self) -> Self:
        if self.api_key_file and self.api_key_variable:
            raise ValueError("takes api_key_file or api_key_variable, not both")
        return self


class DashScopeSettings(Settings):
    """The vendor's settings, beside the gateway's own."""

    dashscope_api_key: ApiKey | None = None
    """Key of Alibaba Cloud's Model Studio, from `DASHSCOPE_API_KEY`; never in the file. Without a key only the embedded
    model is served."""

    dashscope_api_key_file: str = ""
    """The file that holds it in its place, also from `DASHSCOPE_API_KEY_FILE_PATH`; read again when it changes."""

    dashscope_url: Url = "wss://dashscope.aliyuncs.com"
    """Scheme, host and port of Model Studio; `ws://127.0.0.1:8765` is the emulator. `{workspace}` in it stands for the
    workspace's id. `HTTPS_PROXY` is honoured."""

    dashscope_workspace: Workspace = ""
    """Id of the workspace, sent as `X-DashScope-WorkSpace`. Default: that of the key."""

    dashscope_temporary_tokens: bool = False
    """Show the vendor a token of short life, made of the key, in place of the key itself."""

    dashscope_token_seconds: Annotated[int, Field(ge=10, le=1800)] = 600
    """How long such a token lives; it is renewed when a fifth of that is left."""

    endpoints: dict[Name, EndpointSettings] = Field(default_factory=dict)
    """Where else the vendor is reached, by name; see [below](#endpoints)."""

    transports: Transports = Field(default_factory=dict)
    """What carries a vendor's model, by model or backend, such as `paraformer=official_sdk`. `websocket`: the default;
    `official_sdk`: the vendor's own SDK, which is slower; see [transports](transports.md)."""

    hotword_tables: Literal["off", "create", "recycle"] = "create"
    """Whether hot words of calls become tables stored with the vendor, for models that need them. `create`: ten of
    them, the vendor's limit, and none is ever deleted; `recycle`: the gateway's own least used one makes room; see
    [hot words](hotwords.md)."""

    hotword_table_age_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = 3600.0
    """How long a table must have been unchanged to be recycled; calls that run keep theirs, with several gateways from
    900 s on."""

    hotword_timeout_seconds: Seconds = 5.0
    """How long a call may wait for its hot words to be compiled."""

    hotword_failures: Literal["warn", "fail"] = "warn"
    """What becomes of a call whose hot words cannot be compiled: it goes on with a warning, or ends."""

    @property
    def has_key(self) -> bool:
        """Whether there is a key for ``dashscope_url``."""
        return self.dashscope_api_key is not None or bool(self.dashscope_api_key_file)

    @classmethod
    def values_from(cls, environ: Mapping[str, str]) -> dict[str, Any]:  # Any: as the gateway's own
        """See ``Settings``."""
        values = super().values_from(environ)
        if key := environ.get(KEY_VARIABLE, "").strip():
            values["dashscope_api_key"] = key
        elif path := environ.get(KEY_FILE_VARIABLE):
            values["dashscope_api_key_file"] = path
            verify_key_file(KEY_FILE_VARIABLE, path)
        return values

    @classmethod
    def refuse_secrets(cls, values: Mapping[str, object], file: str = "") -> None:
        """See ``Settings``."""
        super().refuse_secrets(values, file)
        if file and "dashscope_api_key" in values:
            raise SettingsError(
                f"{file}: a key never stands in this file: dashscope_api_key_file names the one it is in"
            )
        endpoints = values.get("endpoints")
        for name, endpoint in endpoints.items() if isinstance(endpoints, dict) else ():
            if isinstance(endpoint, dict) and "api_key" in endpoint:
                raise SettingsError(
                    f"endpoints.{name}.api_key: a key never stands here; name its file in api_key_file, or its "
                    "variable in api_key_variable"
                )

    def completed(self, environ: Mapping[str, str]) -> Self:
        """Add what the variables of the endpoints hold, and see that their files can be read; see ``Settings``."""
        if self.dashscope_api_key_file and not self.dashscope_api_key:
            verify_key_file("dashscope_api_key_file", self.dashscope_api_key_file)
        endpoints = {name: _completed(name, endpoint, environ) for name, endpoint in self.endpoints.items()}
        return super().completed(environ).model_copy(update={"endpoints": endpoints})


def _completed(name: str, endpoint: EndpointSettings, environ: Mapping[str, str]) -> EndpointSettings:
    path = f"endpoints.{name}"
    if endpoint.api_key_file:
        verify_key_file(f"{path}.api_key_file", endpoint.api_key_file)
    if not endpoint.api_key_variable:
        return endpoint
    key = environ.get(endpoint.api_key_variable, "").strip()
    if not is_key(key):
        raise SettingsError(f"{path}.api_key_variable: the variable that it names holds no key")
    return endpoint.model_copy(update={"api_key": SecretStr(key)})
