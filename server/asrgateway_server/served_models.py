"""What this gateway offers: the vendor's models and the operator's own, each at an endpoint, and their other names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from asrgateway_server.models import DASHSCOPE_MODELS, DEFAULT_ALIAS, EMBEDDED, Catalogue, Model, catalogue
from asrgateway_server.settings import ModelSettings, Settings, SettingsError, unknown_value
from asrgateway_server.vendors.dashscope.endpoints import DEFAULT_ENDPOINT, Endpoint, endpoints_of

_BACKENDS: Final = frozenset(row.backend for row in DASHSCOPE_MODELS)
_OPTIONS: Final = frozenset(option.partition("=")[0] for row in DASHSCOPE_MODELS for option in row.options)


def served_models(settings: Settings) -> Catalogue:
    """Return the models that are served under these settings, and their aliases.

    Raises:
        SettingsError: A model, an alias or an endpoint is not what it may be; names its path.
    """
    endpoints = endpoints_of(settings)
    default = endpoints[DEFAULT_ENDPOINT]
    can_reach = default.has_key or settings.allow_caller_keys
    # A model that the vendor does not serve in a region cannot be there; elsewhere, as in an emulator, it may be.
    rows = [_placed(row, default) for row in DASHSCOPE_MODELS if not default.region or default.region in row.regions]
    known = {row.name: row for row in DASHSCOPE_MODELS}
    own = []
    for number, chosen in enumerate(settings.models):
        path = f"models[{number}]"
        endpoint = _endpoint_of(path, chosen, endpoints)
        if not endpoint.has_key and not settings.allow_caller_keys:
            raise SettingsError(f"{path}: there is no key for its endpoint {endpoint.name}")
        model = _placed(_model(path, chosen, known), endpoint)
        own.append(model)
        known[model.name] = model
    all_rows = [*(rows if can_reach else ()), *own]
    # A gateway with nothing else to offer names it all the same, and says to its callers what is missing.
    has_embedded = settings.worker_count > 0 or not all_rows
    _verify_aliases(settings, {*([EMBEDDED.name] if has_embedded else []), *(row.name for row in all_rows)})
    return catalogue(
        default_model=settings.default_model,
        has_key=default.has_key,
        has_embedded=has_embedded,
        rows=all_rows,
        aliases=settings.aliases,
    )


def _placed(model: Model, endpoint: Endpoint) -> Model:
    return replace(model, endpoint=endpoint.name, regions=(endpoint.region,) if endpoint.region else ())


def _endpoint_of(path: str, chosen: ModelSettings, endpoints: Mapping[str, Endpoint]) -> Endpoint:
    name = chosen.endpoint or DEFAULT_ENDPOINT
    if name not in endpoints:
        raise SettingsError(f"{path}.endpoint: {unknown_value(name, endpoints, 'endpoint')}")
    return endpoints[name]


def _model(path: str, chosen: ModelSettings, known: Mapping[str, Model]) -> Model:
    if chosen.name in {EMBEDDED.name, DEFAULT_ALIAS}:
        raise SettingsError(f"{path}.name: {chosen.name} has a meaning of its own; choose another name")
    if chosen.like and chosen.like not in known:
        raise SettingsError(f"{path}.like: {unknown_value(chosen.like, known, 'model of the vendor')}")
    if chosen.backend and chosen.backend not in _BACKENDS:
        raise SettingsError(f"{path}.backend: {unknown_value(chosen.backend, _BACKENDS, 'backend of the vendor')}")
    for option in chosen.options or ():
        if option.partition("=")[0] not in _OPTIONS:
            raise SettingsError(f"{path}.options: {unknown_value(option, _OPTIONS, 'option')}")
    blank = Model(name="", backend="", language_codes=(), sample_rates_hertz=(), options=frozenset())
    like = known[chosen.like] if chosen.like else blank
    return replace(
        like,
        name=chosen.name,
        vendor_model=chosen.vendor_model or like.vendor_model,
        like=like.kind,
        backend=chosen.backend or like.backend,
        language_codes=like.language_codes if chosen.languages is None else chosen.languages,
        sample_rates_hertz=tuple(sorted(chosen.rates_hertz or like.sample_rates_hertz)),
        options=like.options if chosen.options is None else frozenset(chosen.options),
        price_per_second_cny=like.price_per_second_cny
        if chosen.price_per_second_cny is None
        else chosen.price_per_second_cny,
        retirement_date=chosen.retirement_date or like.retirement_date,
    )


def _verify_aliases(settings: Settings, served: Collection[str]) -> None:
    for name, model in settings.aliases.items():
        if name in served:
            raise SettingsError(f"aliases.{name}: a model has this name; choose another one")
        if model not in served:
            raise SettingsError(f"aliases.{name}: {unknown_value(model, served, 'model that is served')}")
    default = settings.default_model
    if default and default not in served and default not in settings.aliases:
        raise SettingsError(f"default_model: {unknown_value(default, served, 'model that is served')}")
    chosen = settings.aliases.get(DEFAULT_ALIAS, "")
    if chosen and settings.default_model and settings.default_model != chosen:
        raise SettingsError(f"aliases.{DEFAULT_ALIAS} and default_model name two different models; leave one out")
