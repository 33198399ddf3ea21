"""What the command line says to a person who starts a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asrgateway_server.backends.vendor import Vendors
from asrgateway_server.grpc_api.probe import reachable
from asrgateway_server.lifecycle import Gateway, web_url
from asrgateway_server.settings import PREFIX, CannotListen, Settings

SERVE_DESCRIPTION: Final = """\
Runs the gateway: clients stream audio over gRPC and get interim and final text back. Without a vendor's key it
recognises US English with its embedded recogniser; with one it serves the vendor's models as well.
It runs until Ctrl-C or SIGTERM; open calls may then finish, and a second signal ends them.
"""
_PORTS: Final = {
    "listen": "gRPC, for clients",
    "health_listen": "gRPC health checking, for probes",
    "http_listen": "HTTP, /metrics for Prometheus",
    "web_listen": "WebSocket and a page, for browsers",
}
_FIRST_SETTINGS: Final = {
    f"{PREFIX}DEFAULT_MODEL=NAME": "the model for clients that name none",
    f"{PREFIX}LISTEN_OFFSET=10": "a second gateway on this machine: 10 is added to each of its ports",
    f"{PREFIX}LISTEN=0.0.0.0:50051": "let other machines call; needs one of the next two",
    f"{PREFIX}API_KEYS_FILE=FILE": "who may call: lines that `asr-gateway hash-key` prints",
    f"{PREFIX}ALLOW_ANONYMOUS=true": "everyone may call who reaches the port",
    f"{PREFIX}TLS_CERT_FILE=FILE": f"serve TLS, with {PREFIX}TLS_KEY_FILE",
    f"{PREFIX}LOG_LEVEL=WARNING": "no line for each call",
}
_EPILOG: Final = """\
ports, and the settings that move them:
{ports}

settings that matter first, as environment variables; docs/settings.md lists all:
{settings}

examples:
  asr-gateway serve
  asr-gateway serve --emulator
  asr-gateway serve --web
  asr-gateway serve --config gateway.yaml

then, in another terminal:
  asr-client file SPEECH.wav
"""


def serve_epilog(vendors: Vendors) -> str:
    """Return what `serve --help` says below the arguments."""
    fields = Settings.model_fields
    ports = {PREFIX + name.upper(): f"{fields[name].default or 'off'}: {what}" for name, what in _PORTS.items()}
    of_vendors = {name: what for vendor in vendors.values() for name, what in vendor.first_settings.items()}
    return _EPILOG.format(ports=_rows(ports), settings=_rows(of_vendors | _FIRST_SETTINGS))


def _rows(meanings: Mapping[str, str]) -> str:
    width = max(map(len, meanings))
    return "\n".join(f"  {name:{width}}  {what}" for name, what in meanings.items())


def ready_line(settings: Settings, gateway: Gateway) -> str:
    """Return what a person wants to know once the gateway accepts calls: where, which models, what to try."""
    default = gateway.models.find("").name
    others = len(gateway.models.models) - 1
    models = f"model {default}" + (f" and {others} others (`asr-gateway models`)" if others else "")
    options = "".join(f" {option}" for option in _client_options(settings, gateway))
    page = f" The page for browsers: {url}." if (url := web_url(settings, gateway)) else ""
    return f"Ready on {gateway.address}: {models}.{page} Try in another terminal: asr-client file SPEECH.wav{options}"


def _client_options(settings: Settings, gateway: Gateway) -> list[str]:
    target = reachable(str(gateway.address))
    is_needed = {
        f"--target {target}": target != str(Settings.model_fields["listen"].default),
        "--tls": settings.tls_cert_file,
        "--cert FILE --key FILE": settings.tls_client_ca_file,
        "--api-key-file FILE": settings.api_keys_file,
    }
    return [option for option, needed in is_needed.items() if needed]


def port_hint(settings: Settings, error: CannotListen) -> str:
    """Return what went wrong with a port, and the settings that help."""
    names = [PREFIX + name.upper() for name, address in settings.listeners().items() if address == error.address]
    return (
        f"{error}. Choose another one with {' and '.join(names)}; if a second gateway runs on this machine, "
        f"{PREFIX}LISTEN_OFFSET=10 moves all ports of this one"
    )
