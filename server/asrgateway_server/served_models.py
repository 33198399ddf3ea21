"""What this gateway offers: the vendors' models and the operator's own, each at an endpoint, and their other names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from asrgateway_server.audio.opus import CODED_RATES_HERTZ
from asrgateway_server.backends.vendor import AnyVendor, Vendors
from asrgateway_server.models import DEFAULT_ALIAS, Catalogue, Model, UpstreamEncoding
from asrgateway_server.settings import ModelSettings, Settings, SettingsError, unknown_value


def served_models(settings: Settings, vendors: Vendors) -> Catalogue:
    """Return the models that are served under these settings, and their aliases.

    Raises:
        SettingsError: A model, an alias or an endpoint is not what it may be; names its path.
    """
    rows = {row.name: row for vendor in vendors.values() for row in vendor.served(settings)}
    rows |= _operators_models(settings, vendors)
    # A gateway with nothing to offer names what runs here all the same, and says to its clients what is missing.
    rows = rows or {row.name: row for row in _all_rows(vendors) if not row.is_remote}
    known = {*rows, *(row.name for row in _all_rows(vendors))}
    _verify_aliases(settings, rows, known)
    default = settings.default_model or _best(settings, vendors, rows)
    aliases = {DEFAULT_ALIAS: settings.aliases.get(default, (default,)), **settings.aliases}
    return Catalogue(models=MappingProxyType(rows), aliases=MappingProxyType(aliases))


def _all_rows(vendors: Vendors) -> list[Model]:
    return [row for vendor in vendors.values() for row in vendor.catalogue]


def _best(settings: Settings, vendors: Vendors, served: Collection[str]) -> str:
    """Return the model for clients that name none: the first vendor's that there is an account for."""
    ready = [vendor.default_model for vendor in vendors.values() if vendor.has_account(settings)]
    others = [vendor.default_model for vendor in vendors.values()]
    found = next((name for name in (*ready, *others, *served) if name in served), None)
    if found is None:
        raise SettingsError("no vendor offers any model under these settings")
    return found


def _operators_models(settings: Settings, vendors: Vendors) -> Mapping[str, Model]:
    known = {row.name: row for row in _all_rows(vendors)}
    reserved = {DEFAULT_ALIAS, *(row.name for row in known.values() if not row.is_remote)}
    vendor_of = {backend: vendor for vendor in vendors.values() for backend in vendor.backends}
    own: dict[str, Model] = {}
    for number, chosen in enumerate(settings.models):
        path = f"models[{number}]"
        if chosen.name in reserved:
            raise SettingsError(f"{path}.name: {chosen.name} has a meaning of its own; choose another name")
        start = _start(path, chosen, {**known, **own}, vendor_of)
        model = _model(chosen, start)
        _verify_encoding(path, model, vendor_of[model.backend].backends[model.backend].upstream_encodings)
        try:
            own[chosen.name] = vendor_of[model.backend].placed(model, chosen.endpoint, settings)
        except ValueError as error:
            raise SettingsError(f"{path}{error}") from None
    return own


def _start(path: str, chosen: ModelSettings, known: Mapping[str, Model], vendor_of: Mapping[str, AnyVendor]) -> Model:
    """Return what an operator's model begins as: the model that it is like, or a blank one of its backend."""
    if chosen.like and chosen.like not in known:
        raise SettingsError(f"{path}.like: {unknown_value(chosen.like, known, 'model of a vendor')}")
    backends = vendor_of[known[chosen.like].backend].backends.keys() if chosen.like else vendor_of.keys()
    if chosen.backend and chosen.backend not in backends:
        raise SettingsError(f"{path}.backend: {unknown_value(chosen.backend, backends, 'backend of the vendor')}")
    options = {option.partition("=")[0] for row in known.values() for option in row.options}
    for option in chosen.options or ():
        if option.partition("=")[0] not in options:
            raise SettingsError(f"{path}.options: {unknown_value(option, options, 'option')}")
    return known[chosen.like] if chosen.like else vendor_of[chosen.backend].backends[chosen.backend]


def _model(chosen: ModelSettings, start: Model) -> Model:
    """Return a model with what the operator says of it in place of what it begins as."""
    said = {
        "backend": chosen.backend or None,
        "vendor_model": chosen.vendor_model or None,
        "language_codes": chosen.languages,
        "sample_rates_hertz": chosen.rates_hertz and tuple(sorted(chosen.rates_hertz)),
        "upstream_encoding": chosen.upstream_encoding and UpstreamEncoding(chosen.upstream_encoding),
        "options": None if chosen.options is None else frozenset(chosen.options),
        "price_per_second_cny": chosen.price_per_second_cny,
        "retirement_date": chosen.retirement_date,
    }
    changes = {name: value for name, value in said.items() if value is not None}
    return replace(start, name=chosen.name, **changes)  # type: ignore[arg-type] # each of its field


def _verify_encoding(path: str, model: Model, allowed: Collection[UpstreamEncoding]) -> None:
    encoding = model.upstream_encoding
    if encoding not in allowed:
        raise SettingsError(
            f"{path}.upstream_encoding: models of the backend {model.backend} are not sent {encoding};"
            f" use {' or '.join(allowed)}"
        )
    unfit = sorted(set(model.sample_rates_hertz) - set(CODED_RATES_HERTZ))
    if encoding is UpstreamEncoding.OGG_OPUS and unfit:
        raise SettingsError(
            f"{path}.upstream_encoding: ogg_opus has no {unfit[0]} Hz; rates_hertz may be"
            f" {', '.join(map(str, CODED_RATES_HERTZ))}"
        )


def _verify_aliases(settings: Settings, served: Collection[str], known: Collection[str]) -> None:
    for name, models in settings.aliases.items():
        if name in served:
            raise SettingsError(f"aliases.{name}: a model has this name; choose another one")
        for position, model in enumerate(models):
            path = f"aliases.{name}[{position}]" if len(models) > 1 else f"aliases.{name}"
            if model not in served:
                raise SettingsError(f"{path}: {_not_served(model, served, known)}")
            if model in models[:position]:
                raise SettingsError(f"{path}: {model} is in this list already; name each model once")
    default = settings.default_model
    if default and default not in served and default not in settings.aliases:
        raise SettingsError(f"default_model: {_not_served(default, served, known)}")
    chosen = settings.aliases.get(DEFAULT_ALIAS)
    if chosen and default and (default,) != chosen:
        raise SettingsError(f"aliases.{DEFAULT_ALIAS} and default_model name two different models; leave one out")


def _not_served(model: str, served: Collection[str], known: Collection[str]) -> str:
    if model in known:
        return f"{model} is not served under these settings; `asr-gateway models` lists what is"
    return unknown_value(model, served, "model that is served")
