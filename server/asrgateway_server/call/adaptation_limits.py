"""A model's limits of hot words and context, checked before it sees any; messages never hold a word. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from asrgateway_server.config import Adaptation, ContextRole, Hotword
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.events import OptionWarning, WarningCode
from asrgateway_server.languages import vendor_code
from asrgateway_server.models import HotwordLimits, Model

_ASCII_CHARACTERS_PER_TOKEN: Final = 4


def verified(model: Model, adaptation: Adaptation, field: str) -> tuple[OptionWarning, ...]:
    """Return a warning for each part of an adaptation that the vendor will cut off.

    Args:
        model: The model whose limits apply.
        adaptation: The client's hot words and context.
        field: Path of the adaptation in the request.

    Raises:
        InvalidRequest: The adaptation breaks a limit; the message names the position, never the word.
    """
    if "adaptation.hotwords" in model.options:
        _verify_words(model, model.hotwords, adaptation.hotwords, f"{field}.hotwords")
    if model.max_context_tokens is not None:
        _verify_tokens(model, model.max_context_tokens, adaptation, field)
    if "adaptation.context_messages" in model.options:
        return tuple(_cuts(model, adaptation, field))
    return ()


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text: one for each character that is not ASCII, one for each four that are."""
    ascii_characters = len(text.encode("ascii", "ignore"))
    return len(text) - ascii_characters + -(-ascii_characters // _ASCII_CHARACTERS_PER_TOKEN)


def _verify_words(model: Model, limits: HotwordLimits, words: tuple[Hotword, ...], field: str) -> None:
    if len(words) > limits.max_words:
        raise InvalidRequest(
            f"there are {len(words)} hot words; {model.name!r} takes up to {limits.max_words}", field=field
        )
    seen: dict[tuple[str, str], int] = {}
    supers = 0
    for position, word in enumerate(words):
        where = f"{field}[{position}]"
        if fault := next(_faults(model, limits, word), None):
            raise InvalidRequest(f"hot word {position}: {fault}", field=where)
        key = (word.text.strip(), word.language_code)
        if key in seen:
            raise InvalidRequest(
                f"hot word {position} repeats the text and language of hot word {seen[key]}; send each once",
                field=where,
            )
        seen[key] = position
        supers += word.weight == limits.super_weight
        if supers > limits.max_super_words and word.weight == limits.super_weight:
            raise InvalidRequest(
                f"hot word {position} is super hot word {supers}; {model.name!r} takes up to "
                f"{limits.max_super_words} of weight {limits.super_weight}",
                field=where,
            )


def _faults(model: Model, limits: HotwordLimits, word: Hotword) -> Iterator[str]:
    """Yield each fault of a word, with what would be right."""
    text = word.text.strip()
    if not text:
        yield "its text is empty; it must hold a word or a short phrase"
        return
    if len(text) > limits.max_characters:
        yield f"its text has {len(text)} characters; {model.name!r} takes up to {limits.max_characters}"
        return
    if not limits.is_writable(text):
        yield f"its text has characters that {model.name!r} does not take; it takes {limits.writing_text}"
    rule = next((rule for rule in limits.lengths if rule.applies(text)), None)
    if rule and (length := rule.measure(text)) > rule.limit:
        yield f"its text has {length} {rule.unit}; {model.name!r} takes up to {rule.limit}"
    if word.weight not in limits.weights:
        yield f"its weight is {word.weight}; {model.name!r} takes {limits.weights_text}"
    code, _ = vendor_code(word.language_code, limits.languages)
    if word.language_code and limits.languages and not code:
        known = ", ".join(sorted(limits.languages))
        yield f"{model.name!r} takes hot words of these languages: {known}"


def _verify_tokens(model: Model, most: int, adaptation: Adaptation, field: str) -> None:
    tokens = count_tokens(" ".join((adaptation.context, *(word.text for word in adaptation.hotwords))))
    if tokens > most:
        raise InvalidRequest(
            f"context and hot words have about {tokens} tokens, counted as one for each character that is not ASCII "
            f"and one for each {_ASCII_CHARACTERS_PER_TOKEN} that are; {model.name!r} takes up to {most}",
            field=f"{field}.context" if adaptation.context else f"{field}.hotwords",
        )


def _cuts(model: Model, adaptation: Adaptation, field: str) -> Iterator[OptionWarning]:
    """Yield a warning for each part of the context that the vendor drops without saying so."""
    field = f"{field}.context_messages"
    kept_messages, kept_characters = model.kept_context_messages, model.kept_turn_characters
    for role in ContextRole:
        count = sum(message.role is role for message in adaptation.context_messages)
        count += role is ContextRole.USER and bool(adaptation.context)  # Free text is sent as one message more.
        if count > kept_messages:
            yield OptionWarning(
                code=WarningCode.OPTION_CHANGED,
                field=field,
                message=f"the vendor keeps only the last {kept_messages} of {count} {role.name.lower()} messages",
            )
    if len(adaptation.context) > kept_characters:
        yield _cut_turn(field.replace("context_messages", "context"), len(adaptation.context), kept_characters)
    for positions in _turns(adaptation):
        characters = sum(len(adaptation.context_messages[position].text) for position in positions)
        if characters > kept_characters:
            yield _cut_turn(f"{field}[{positions[0]}]", characters, kept_characters)


def _cut_turn(field: str, characters: int, kept: int) -> OptionWarning:
    return OptionWarning(
        code=WarningCode.OPTION_CHANGED,
        field=field,
        message=f"the turn that begins here has {characters} characters; the vendor cuts it after {kept}",
    )


def _turns(adaptation: Adaptation) -> list[list[int]]:
    """Return the positions of the messages of each turn: the user's message and the answers to it."""
    turns: list[list[int]] = []
    for position, message in enumerate(adaptation.context_messages):
        if message.role is ContextRole.USER or not turns:
            turns.append([])
        turns[-1].append(position)
    return turns
