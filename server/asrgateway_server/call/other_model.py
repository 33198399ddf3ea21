"""A call's config for another model of its route: what that one does not take is left out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from asrgateway_server.call.adaptation_limits import verified
from asrgateway_server.call.options import unsupported_options
from asrgateway_server.config import Adaptation, Hotword, RecognitionConfig
from asrgateway_server.errors import InvalidRequest, UnsupportedOption
from asrgateway_server.events import OptionWarning, WarningCode
from asrgateway_server.models import Model


def for_model(config: RecognitionConfig, model: Model) -> tuple[RecognitionConfig, tuple[OptionWarning, ...]]:
    """Return the config with which a call goes on at another model, and a warning for each option that is lost there.

    A client's request is checked against the first model of its route. That another one takes less is no fault of the
    request.

    Args:
        config: What the client asked for, at the first model of its route, with the adaptation that is in force now;
            not what this function has returned for a third model.
        model: The other model, or the first one again.

    Raises:
        UnsupportedOption: An option is lost, and the call is ``strict``.
    """
    moved = replace(
        config,
        model=model,
        adaptation=_taken_adaptation(model, config),
        vendor_parameters=_taken_parameters(model, config),
    )
    moved = replace(moved, options_set=tuple(_options_in_force(moved)))
    warnings = (*_left_out(config, moved), *unsupported_options(replace(moved, is_strict=False)))
    if warnings and config.is_strict:
        raise UnsupportedOption(f"{warnings[0].message}, and the call is strict", field=warnings[0].field)
    return moved, warnings


def _taken_adaptation(model: Model, config: RecognitionConfig) -> Adaptation:
    # A stored table has an effect on one model of one account only.
    table = config.adaptation.vocabulary_id if model.name == config.model.name else ""
    whole = replace(config.adaptation, vocabulary_id=table)
    if _is_taken(model, whole):
        return whole
    fewer = replace(whole, hotwords=_taken_words(model, whole.hotwords))
    return fewer if _is_taken(model, fewer) else replace(fewer, context="")


def _taken_words(model: Model, words: tuple[Hotword, ...]) -> tuple[Hotword, ...]:
    """Return those of the first words that the model takes; none if they break a limit together."""
    first = words[: model.hotwords.max_words]
    taken = tuple(word for word in first if _is_taken(model, Adaptation(hotwords=(word,))))
    return taken if _is_taken(model, Adaptation(hotwords=taken)) else ()


def _is_taken(model: Model, adaptation: Adaptation) -> bool:
    try:
        verified(model, adaptation, "")
    except InvalidRequest:
        return False
    return True


def _taken_parameters(model: Model, config: RecognitionConfig) -> dict[str, object]:
    """Return the parameters for the vendor: what one backend knows may be an error to another one."""
    if model.backend != config.model.backend:
        return {}
    return {name: value for name, value in config.vendor_parameters.items() if name not in model.owned_parameters}


def _options_in_force(config: RecognitionConfig) -> Iterator[str]:
    """Yield the options of a config; its adaptation may be another one than the client began with."""
    for option in config.options_set:
        if not option.startswith("adaptation.") and (option != "vendor_parameters" or config.vendor_parameters):
            yield option
    for field in fields(config.adaptation):
        if getattr(config.adaptation, field.name):
            yield f"adaptation.{field.name}"


def _left_out(config: RecognitionConfig, moved: RecognitionConfig) -> Iterator[OptionWarning]:
    """Yield a warning for each part of a config that the one for another model does not have."""
    name, before, after = moved.model.name, config.adaptation, moved.adaptation
    if before.vocabulary_id != after.vocabulary_id:
        yield _warning("adaptation.vocabulary_id", f"the stored hot-word table is none of the model {name!r}")
    if before.hotwords != after.hotwords:
        counts = f"{len(after.hotwords)} of {len(before.hotwords)}"
        yield _warning("adaptation.hotwords", f"the model {name!r} takes {counts} hot words")
    if before.context != after.context:
        yield _warning("adaptation.context", f"the model {name!r} does not take so long a context")
    if len(config.vendor_parameters) > len(moved.vendor_parameters):
        counts = f"{len(moved.vendor_parameters)} of {len(config.vendor_parameters)}"
        yield _warning("vendor_parameters", f"the model {name!r} takes {counts} parameters")


def _warning(option: str, message: str) -> OptionWarning:
    return OptionWarning(code=WarningCode.OPTION_CHANGED, field=f"streaming_config.{option}", message=message)
