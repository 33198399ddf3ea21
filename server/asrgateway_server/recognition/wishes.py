"""Which of the client's wishes the model cannot fulfil."""

from __future__ import annotations

from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.errors import UnsupportedOption
from asrgateway_server.events import Notice, NoticeCode
from asrgateway_server.hotwords.limits import verified
from asrgateway_server.models import Model


def unmet(config: RecognitionConfig) -> tuple[Notice, ...]:
    """Return a notice for each option that has no effect.

    Raises:
        InvalidRequest: The hot words break a limit of the model.
        UnsupportedOption: There is one, and the caller said ``strict``.
    """
    options = _unmet_options(config.model, config.wishes, prefix="streaming_config.")
    cuts = verified(config.model, config.adaptation, "streaming_config.adaptation")
    return _insist(config, (*options, *_unmet_languages(config), *cuts))


def unmet_update(config: RecognitionConfig, update: Update) -> tuple[Notice, ...]:
    """Return a notice for each part of an update that has no effect; raise as ``unmet`` does."""
    options = _unmet_options(config.model, update.wishes, prefix="")
    return _insist(config, (*options, *verified(config.model, update.adaptation, "update.adaptation")))


def is_met(model: Model, update: Update) -> bool:
    """Whether the model can do something with an update."""
    return any(_is_honoured(wish, model.options) for wish in update.wishes)


def _insist(config: RecognitionConfig, notices: tuple[Notice, ...]) -> tuple[Notice, ...]:
    if notices and config.is_strict:
        raise UnsupportedOption(f"{notices[0].message}, and the call is strict", field=notices[0].field)
    return notices


def _unmet_options(model: Model, wishes: tuple[str, ...], *, prefix: str) -> tuple[Notice, ...]:
    return tuple(
        Notice(
            code=NoticeCode.OPTION_IGNORED,
            field=prefix + wish.partition("=")[0],
            message=f"the model {model.name!r} does not honour {wish.rstrip('=')}",
        )
        for wish in wishes
        if not _is_honoured(wish, model.options)
    )


def _is_honoured(wish: str, options: frozenset[str]) -> bool:
    """Whether the wish, its path without a value, or a part of the config that holds it, is an option."""
    path = wish.partition("=")[0]
    parts = path.split(".")
    return wish in options or any(".".join(parts[:count]) in options for count in range(1, len(parts) + 1))


def _unmet_languages(config: RecognitionConfig) -> tuple[Notice, ...]:
    if not config.language_codes or any(_knows(config.model, code) for code in config.language_codes):
        return ()
    return (
        Notice(
            code=NoticeCode.LANGUAGE_UNSUPPORTED,
            field="streaming_config.language_codes",
            message=f"the model {config.model.name!r} knows {', '.join(config.model.language_codes)} only",
        ),
    )


def _knows(model: Model, code: str) -> bool:
    return any(known.partition("-")[0] == code.partition("-")[0].lower() for known in model.language_codes)
