"""Which of the client's options the model does not support."""

from __future__ import annotations

from collections.abc import Iterator

from asrgateway_server.call.adaptation_limits import verified
from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.errors import InvalidRequest, UnsupportedOption
from asrgateway_server.events import OptionWarning, WarningCode
from asrgateway_server.languages import requested_languages
from asrgateway_server.models import Model


def unsupported_options(config: RecognitionConfig) -> tuple[OptionWarning, ...]:
    """Return a warning for each option that the model ignores or changes.

    Raises:
        InvalidRequest: The hot words break a limit of the model, or ``vendor_parameters`` holds a parameter that the
            gateway sets itself.
        UnsupportedOption: There is such an option, and the call is ``strict``.
    """
    _verify_vendor_parameters(config)
    options = _unsupported_options(config.model, config.options_set, prefix="streaming_config.")
    cuts = verified(config.model, config.adaptation, "streaming_config.adaptation")
    return _raise_if_strict(config, (*options, *_unsupported_languages(config), *cuts))


def unsupported_in_update(config: RecognitionConfig, update: Update) -> tuple[OptionWarning, ...]:
    """Return a warning for each part of an update that has no effect; raise as ``unsupported_options`` does."""
    # An update without options removes the adaptation.
    options_set = update.options_set or (() if _takes_updates(config.model) else ("update.adaptation",))
    options = _unsupported_options(config.model, options_set, prefix="")
    return _raise_if_strict(config, (*options, *verified(config.model, update.adaptation, "update.adaptation")))


def is_supported(model: Model, update: Update) -> bool:
    """Whether an update has any effect on the model."""
    if not update.options_set:
        return _takes_updates(model)
    return any(_is_honoured(option, model.options) for option in update.options_set)


def _takes_updates(model: Model) -> bool:
    return any(option.startswith("update.") for option in model.options)


def _verify_vendor_parameters(config: RecognitionConfig) -> None:
    options = config.model.owned_parameters
    name = next((name for name in config.vendor_parameters if name in options), None)
    if name is not None:
        raise InvalidRequest(
            f"vendor_parameters may not hold {name!r}, which the gateway sets itself: "
            + (f"use {options[name]} instead" if options[name] else "it has only one value"),
            field=f"streaming_config.vendor_parameters.{name}",
        )


def _raise_if_strict(config: RecognitionConfig, warnings: tuple[OptionWarning, ...]) -> tuple[OptionWarning, ...]:
    if warnings and config.is_strict:
        raise UnsupportedOption(f"{warnings[0].message}, and the call is strict", field=warnings[0].field)
    return warnings


def _unsupported_options(model: Model, options_set: tuple[str, ...], *, prefix: str) -> tuple[OptionWarning, ...]:
    return tuple(
        OptionWarning(
            code=WarningCode.OPTION_IGNORED,
            field=prefix + option.partition("=")[0],
            message=f"the model {model.name!r} does not honour {option.rstrip('=')}",
        )
        for option in options_set
        if not _is_honoured(option, model.options)
    )


def _is_honoured(option: str, options: frozenset[str]) -> bool:
    """Whether the option, its path without a value, or a part of the config that holds it, is an option."""
    path = option.partition("=")[0]
    parts = path.split(".")
    return option in options or any(".".join(parts[:count]) in options for count in range(1, len(parts) + 1))


def _unsupported_languages(config: RecognitionConfig) -> Iterator[OptionWarning]:
    """Yield a warning for each of the call's languages for which the model gets no hint, or another one."""
    model = config.model
    for position, language in enumerate(requested_languages(config)):
        field = f"streaming_config.language_codes[{position}]"
        if not language.is_known:
            known = ", ".join(model.language_codes)
            message = f"the model {model.name!r} recognises only {known}"
            yield OptionWarning(code=WarningCode.LANGUAGE_UNSUPPORTED, field=field, message=message)
        elif not language.is_exact:
            message = f"the model {model.name!r} does not distinguish Cantonese from Chinese"
            yield OptionWarning(code=WarningCode.OPTION_CHANGED, field=field, message=message)
        elif not language.hint and len(model.language_codes) > 1:
            message = f"the model {model.name!r} {_how_many_languages(model)}"
            yield OptionWarning(code=WarningCode.OPTION_IGNORED, field=field, message=message)


def _how_many_languages(model: Model) -> str:
    match model.max_language_hints:
        case 0:
            return "takes no language hint: it finds the language by itself"
        case 1 if model.is_bound_by_hints:
            return "takes one language hint: with several it gets none, and finds the language by itself"
        case count:
            return f"takes {count} of the call's languages as hints, and gets the first"
