"""Arguments to settings, settings to a running process, its end to an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from getpass import getpass
from importlib.metadata import version
from typing import Final

import uvloop

from asrgateway_server import guidance, logs
from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.backends.vendor import settings_class
from asrgateway_server.errors import GatewayError
from asrgateway_server.grpc_api.open_circuits import open_circuits
from asrgateway_server.lifecycle import Gateway, log_ready, serve
from asrgateway_server.models import Model
from asrgateway_server.served_models import served_models
from asrgateway_server.settings import CONFIG_VARIABLE, Address, CannotListen, Settings, SettingsError, parse_address
from asrgateway_server.vendors.registry import VENDORS

#: Where `serve --web` serves browsers, unless `web_listen` says otherwise.
WEB_LISTEN: Final = Address("127.0.0.1", 8080)
_VERSION: Final = f"asr-gateway {version('asrgateway-server')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 when a setting is wrong."""
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    if others and options.run is not _emulate:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    options.others = others
    try:
        options.run(options)
    except (SettingsError, GatewayError) as error:
        print(f"asr-gateway: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asr-gateway",
        description="Speech recognition over gRPC. Without an account it runs on its embedded recogniser.",
        epilog="Every setting is an environment variable, ASRGATEWAY_LISTEN=127.0.0.1:6000 for example, or a line of "
        "the configuration file, such as `listen: 127.0.0.1:6000`. docs/settings.md lists them.",
    )
    parser.add_argument("--version", action="version", version=_VERSION)
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", metavar="FILE", help=f"a YAML file of settings (or set {CONFIG_VARIABLE})")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve",
        parents=[config],
        help="run the gateway until SIGTERM or Ctrl-C",
        description=guidance.SERVE_DESCRIPTION,
        epilog=guidance.serve_epilog(VENDORS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serving.add_argument(
        "--emulator",
        action="store_true",
        help="run an emulator of the vendor beside it, so that the vendor's models can be tried without an account",
    )
    serving.add_argument(
        "--web",
        action="store_true",
        help="serve browsers too: a page with captions at http://127.0.0.1:8080, or where web_listen says",
    )
    serving.set_defaults(run=_serve)
    listing = commands.add_parser("models", parents=[config], help="list the models that `serve` would offer")
    listing.add_argument(
        "--gateway",
        type=_address,
        metavar="HOST:PORT",
        help="ask the gateway whose http_listen that is too, and mark the models that it does not call at the moment, "
        "because too many of their tasks were lost",
    )
    listing.set_defaults(run=_list_models)
    hashing = commands.add_parser(
        "hash-key",
        help="print the line that lets a caller's key in",
        description="Reads a key from the prompt or standard input, and prints the line for the file of api_keys_file. "
        "The key itself is kept nowhere. `openssl rand -hex 24` makes a good one.",
    )
    hashing.add_argument("--name", default="", help="what the log calls who shows this key")
    hashing.set_defaults(run=_hash_key)
    emulating = commands.add_parser("emulator", help="run an emulator of the vendor alone", add_help=False)
    emulating.set_defaults(run=_emulate)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    environ = dict(os.environ)
    if options.config:
        environ[CONFIG_VARIABLE] = options.config
    return settings_class(VENDORS).from_environment(environ)


def _serve(options: argparse.Namespace) -> None:
    settings = _settings(options)
    if options.web and settings.web_listen is None:
        web_listen = WEB_LISTEN._replace(port=WEB_LISTEN.port + settings.listen_offset)
        settings = settings.model_copy(update={"web_listen": web_listen})
    logs.configure(settings.log_level)
    try:
        uvloop.run(_serve_with_emulator(settings) if options.emulator else _serve_with(settings))
    except CannotListen as error:
        raise SettingsError(guidance.port_hint(settings, error)) from None


async def _serve_with(settings: Settings) -> None:
    await serve(settings, VENDORS, _greet if sys.stderr.isatty() else log_ready)


def _greet(settings: Settings, gateway: Gateway) -> None:
    print(guidance.ready_line(settings, gateway), file=sys.stderr, flush=True)


async def _serve_with_emulator(settings: Settings) -> None:
    import dashscope_emulator as emulator  # noqa: PLC0415 0.3 s and 10 MB that no other gateway needs

    async with emulator.running_emulator(emulator.EmulatorOptions()) as running:
        for vendor in VENDORS.values():
            settings = vendor.at_emulator(settings, running.url)
        await _serve_with(settings)


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _list_models(options: argparse.Namespace) -> None:
    settings = _settings(options)
    unreachable = open_circuits(options.gateway) if options.gateway else frozenset()
    served = served_models(settings, VENDORS)
    width = max(len(name) for name in (*served.models, *served.aliases)) + 2
    places = {name: _place(model) for name, model in served.models.items()}
    place_width = max(len(place) for place in places.values())
    for name, model in sorted(served.models.items()):
        rates = ", ".join(str(rate) for rate in model.sample_rates_hertz)
        languages = ", ".join(model.language_codes)
        circuit = "  circuit open" if name in unreachable else ""
        print(f"{name:{width}}{model.backend:14}{places[name]:{place_width}}{rates:>13} Hz  {languages}{circuit}")
    for name, candidates in sorted(served.aliases.items()):
        print(f"{name:{width}}= {', then '.join(candidates)}")


def _place(model: Model) -> str:
    return " ".join(("at", model.endpoint, *model.regions)) if model.endpoint else "here"


def _hash_key(options: argparse.Namespace) -> None:
    key = getpass("Key: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    try:
        print(hashed_line(key, options.name))
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _emulate(options: argparse.Namespace) -> None:
    import dashscope_emulator as emulator  # noqa: PLC0415 as above

    emulator.main(options.others, program="asr-gateway emulator")
