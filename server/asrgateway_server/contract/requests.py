"""Protobuf messages to the records of a call's config."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.audio.declared import MAX_CHANNELS, MAX_SAMPLE_RATE_HERTZ, MIN_SAMPLE_RATE_HERTZ
from asrgateway_server.config import (
    DEFAULT_WEIGHT,
    Adaptation,
    AudioFormat,
    ChannelMode,
    ContextMessage,
    ContextRole,
    Encoding,
    Endpointing,
    Features,
    Hotword,
    KeepAlive,
    KeepAlivePolicy,
    ManualEndpointing,
    RecognitionConfig,
    Resume,
    SemanticEndpointing,
    SensitiveWordFilter,
    ServerVad,
    Update,
)
from asrgateway_server.errors import InvalidRequest, NotBuiltYet
from asrgateway_server.models import Catalogue

CONFIG_FIELD: Final = "streaming_config"
#: What carries no audio may be no larger: far more than the largest vocabulary of any model needs. It is checked before
#: anything is read, because a message of 4 MB may hold 2,000,000 empty hot words.
MAX_CONFIG_BYTES: Final = 512 * 1024
_LONGEST_REQUEST_ID: Final = 128
_LONGEST_CALL_ID: Final = 128
_LONGEST_NAME: Final = 128
_LONGEST_LANGUAGE_CODE: Final = 35
_LONGEST_RESUME_MS: Final = 366 * 24 * 3600 * 1000
# A year at one result a second is a thirtieth of this, and as many may follow.
_MOST_RESULTS: Final = 2**30
_MAX_LANGUAGES: Final = 8
# Above what any model takes, whose own limits come later and name the model.
_MAX_HOTWORDS: Final = 10_000
_MAX_CONTEXT_MESSAGES: Final = 1_000
_MAX_FILTERED_WORDS: Final = 10_000
_MAX_VENDOR_PARAMETER_BYTES: Final = 16 * 1024

_ENCODINGS: Final[Mapping[int, Encoding]] = {
    pb.AUDIO_ENCODING_UNSPECIFIED: Encoding.LINEAR16,
    **{pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding.name}"): encoding for encoding in Encoding},
}
_CHANNEL_MODES: Final[Mapping[int, ChannelMode]] = {
    pb.CHANNEL_MODE_UNSPECIFIED: ChannelMode.MIX,
    pb.CHANNEL_MODE_MIX: ChannelMode.MIX,
    pb.CHANNEL_MODE_FIRST: ChannelMode.FIRST,
    pb.CHANNEL_MODE_LAST: ChannelMode.LAST,
    pb.CHANNEL_MODE_SEPARATE: ChannelMode.SEPARATE,
}
_MODES: Final = "MIX, FIRST, LAST and SEPARATE"
_ROLES: Final[Mapping[int, ContextRole]] = {pb.CONTEXT_ROLE_ASSISTANT: ContextRole.ASSISTANT}
_KEEP_ALIVE_POLICIES: Final[Mapping[int, KeepAlivePolicy]] = {
    pb.KEEP_ALIVE_POLICY_UNSPECIFIED: KeepAlivePolicy.INJECT,
    pb.KEEP_ALIVE_POLICY_INJECT: KeepAlivePolicy.INJECT,
    pb.KEEP_ALIVE_POLICY_HIBERNATE: KeepAlivePolicy.HIBERNATE,
    pb.KEEP_ALIVE_POLICY_OFF: KeepAlivePolicy.OFF,
}

# Source: protobuf.dev, "Encoding": the number of the field, then 2 for what has a length.
_AUDIO_TAG: Final = pb.RecognizeRequest.AUDIO_FIELD_NUMBER << 3 | 2

# The options that a model may not support; the gateway handles all others itself.
_OPTION_FIELDS: Final = ("endpointing", "features", "adaptation", "keep_alive", "vendor_parameters")


def request_from(data: bytes) -> pb.RecognizeRequest:
    """Read one message of a call.

    Raises:
        InvalidRequest: The message is too large.
        DecodeError: The bytes are not a message.
    """
    if len(data) > MAX_CONFIG_BYTES and not _is_audio(data):
        raise too_large(len(data))
    return pb.RecognizeRequest.FromString(data)


def too_large(size_bytes: int) -> InvalidRequest:
    """Return the error for a request with too much beside its audio."""
    return InvalidRequest(
        f"the request has {size_bytes} bytes; without audio it may have {MAX_CONFIG_BYTES}", field="request"
    )


def _is_audio(data: bytes) -> bool:
    """Whether a serialised request is one piece of audio and nothing else."""
    length, shift, position = 0, 0, 1
    while data[position] & 0x80 and shift < 28:
        length |= (data[position] & 0x7F) << shift
        shift += 7
        position += 1
    length |= data[position] << shift
    return data[0] == _AUDIO_TAG and position + 1 + length == len(data)


def config_from(message: pb.StreamingConfig, catalogue: Catalogue) -> RecognitionConfig:
    """Read a call's options.

    Raises:
        InvalidRequest: A value is out of range; the message names its field.
        UnknownModel: No model or alias has that name.
        NotBuiltYet: The contract has the value, this version does not support it yet.
    """
    _verify_ranges(message)
    return RecognitionConfig(
        model=catalogue.find(message.model),
        audio=_audio_from(message.decoding_config),
        language_codes=tuple(message.language_codes),
        interim_results=message.interim_results,
        endpointing=_endpointing_from(message.endpointing),
        features=_features_from(message.features),
        adaptation=_adaptation_from(message.adaptation),
        keep_alive=_keep_alive_from(message.keep_alive),
        vendor_parameters=_vendor_parameters_from(message.vendor_parameters),
        is_strict=message.strict,
        fails_on_audio_loss=message.fail_on_audio_loss,
        resume=Resume(
            audio_offset_ms=_ms_of(message.resume.audio_offset),
            next_result_index=message.resume.next_result_index,
            channel_offsets_ms=tuple(map(_ms_of, message.resume.channel_offsets)),
        ),
        options_set=tuple(
            option
            for field, value in message.ListFields()
            if field.name in _OPTION_FIELDS
            for option in _options_set(field.name, field, value)
        ),
    )


def update_from(message: pb.ConfigUpdate) -> Update:
    """Read an update of a call.

    Raises:
        InvalidRequest: A value is out of range; the message names its field.
    """
    _verify_adaptation("update.adaptation", message.adaptation)
    return Update(
        adaptation=_adaptation_from(message.adaptation),
        options_set=tuple(
            option
            for field, value in message.ListFields()
            for option in _options_set(f"update.{field.name}", field, value)
        ),
    )


def _adaptation_from(message: pb.SpeechAdaptation) -> Adaptation:
    return Adaptation(
        vocabulary_id=message.vocabulary_id,
        hotwords=tuple(
            Hotword(
                text=word.text,
                weight=word.weight if word.HasField("weight") else DEFAULT_WEIGHT,
                language_code=word.language_code,
            )
            for word in message.hotwords
        ),
        context=message.context,
        context_messages=tuple(
            ContextMessage(role=_ROLES.get(earlier.role, ContextRole.USER), text=earlier.text)
            for earlier in message.context_messages
        ),
    )


def _vendor_parameters_from(message: Struct) -> Mapping[str, object]:
    path = f"{CONFIG_FIELD}.vendor_parameters"
    if message.ByteSize() > _MAX_VENDOR_PARAMETER_BYTES:
        raise InvalidRequest(
            f"vendor_parameters have {message.ByteSize()} bytes; the limit is {_MAX_VENDOR_PARAMETER_BYTES}",
            field=path,
        )
    try:
        return json_format.MessageToDict(message)
    except (json_format.Error, ValueError):
        raise InvalidRequest(
            "vendor_parameters hold a number that is not finite; JSON cannot hold it", field=path
        ) from None


def _keep_alive_from(message: pb.KeepAliveConfig) -> KeepAlive:
    policy = _KEEP_ALIVE_POLICIES.get(message.policy)
    if policy is None:
        path, known = f"{CONFIG_FIELD}.keep_alive.policy", "INJECT, HIBERNATE and OFF"
        raise _not_built(pb.KeepAlivePolicy.DESCRIPTOR, message.policy, path, known)
    return KeepAlive(
        policy=policy,
        quiet_after_ms=_ms_of(message.quiet_after) if message.HasField("quiet_after") else None,
    )


def _audio_from(message: pb.DecodingConfig) -> AudioFormat:
    path = f"{CONFIG_FIELD}.decoding_config"
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        raise _not_built(
            pb.AudioEncoding.DESCRIPTOR, message.encoding, f"{path}.encoding", ", ".join(e.name for e in Encoding)
        )
    mode = _CHANNEL_MODES.get(message.channel_mode)
    if mode is None:
        raise _not_built(pb.ChannelMode.DESCRIPTOR, message.channel_mode, f"{path}.channel_mode", _MODES)
    rate = message.sample_rate_hertz if message.HasField("sample_rate_hertz") else None
    channels = message.audio_channel_count if message.HasField("audio_channel_count") else None
    return AudioFormat(encoding=encoding, sample_rate_hertz=rate, channel_count=channels, channel_mode=mode)


def _endpointing_from(message: pb.EndpointingConfig) -> Endpointing:
    match message.WhichOneof("mode"):
        case "semantic":
            return SemanticEndpointing()
        case "manual":
            return ManualEndpointing()
        case _:
            vad = message.server_vad
            return ServerVad(
                silence_ms=_ms_of(vad.silence) if vad.HasField("silence") else None,
                threshold=_shortest(vad.threshold) if vad.HasField("threshold") else None,
                is_multi_threshold=vad.multi_threshold,
            )


def _features_from(message: pb.RecognitionFeatures) -> Features:
    def given(name: str) -> bool | None:
        return bool(getattr(message, name)) if message.HasField(name) else None  # type: ignore[arg-type] # its own names

    return Features(
        punctuation=given("enable_automatic_punctuation"),
        inverse_text_normalization=given("enable_inverse_text_normalization"),
        disfluency_removal=given("enable_disfluency_removal"),
        word_time_offsets=message.enable_word_time_offsets,
        voice_activity_events=message.enable_voice_activity_events,
        emotion=message.enable_emotion,
        sensitive_words=_sensitive_words_from(message.sensitive_word_filter)
        if message.HasField("sensitive_word_filter")
        else None,
    )


def _sensitive_words_from(message: pb.SensitiveWordFilter) -> SensitiveWordFilter:
    return SensitiveWordFilter(
        masked_words=tuple(message.masked_words),
        removed_words=tuple(message.removed_words),
        use_builtin_list=message.use_builtin_list if message.HasField("use_builtin_list") else None,
    )


def _verify_ranges(message: pb.StreamingConfig) -> None:
    audio, resume, vad = message.decoding_config, message.resume, message.endpointing.server_vad
    if vad.HasField("silence"):
        _verify("endpointing.server_vad.silence", _ms_of(vad.silence), 200, 6000, "ms")
    if vad.HasField("threshold"):
        _verify("endpointing.server_vad.threshold", vad.threshold, -1, 1, "")
    if message.keep_alive.HasField("quiet_after"):
        _verify("keep_alive.quiet_after", _ms_of(message.keep_alive.quiet_after), 100, 60_000, "ms")
    if audio.HasField("sample_rate_hertz"):
        _verify(
            "decoding_config.sample_rate_hertz",
            audio.sample_rate_hertz,
            MIN_SAMPLE_RATE_HERTZ,
            MAX_SAMPLE_RATE_HERTZ,
            "Hz",
        )
    if audio.HasField("audio_channel_count"):
        _verify("decoding_config.audio_channel_count", audio.audio_channel_count, 1, MAX_CHANNELS, "channels")
    _verify("model", len(message.model), 0, _LONGEST_NAME, "characters")
    _verify("request_id", len(message.request_id), 0, _LONGEST_REQUEST_ID, "characters")
    _verify("language_codes", len(message.language_codes), 0, _MAX_LANGUAGES, "codes")
    for position, code in enumerate(message.language_codes):
        _verify(f"language_codes[{position}]", len(code), 0, _LONGEST_LANGUAGE_CODE, "characters")
    words = message.features.sensitive_word_filter
    count = len(words.masked_words) + len(words.removed_words)
    _verify("features.sensitive_word_filter", count, 0, _MAX_FILTERED_WORDS, "words")
    _verify("resume.audio_offset", _ms_of(resume.audio_offset), 0, _LONGEST_RESUME_MS, "ms")
    _verify("resume.next_result_index", resume.next_result_index, 0, _MOST_RESULTS, "")
    _verify("resume.call_id", len(resume.call_id), 0, _LONGEST_CALL_ID, "characters")
    _verify_channel_offsets(message)
    _verify_adaptation(f"{CONFIG_FIELD}.adaptation", message.adaptation)


def _verify_channel_offsets(message: pb.StreamingConfig) -> None:
    audio, resume = message.decoding_config, message.resume
    if not resume.channel_offsets:
        return
    if audio.channel_mode != pb.CHANNEL_MODE_SEPARATE:
        raise InvalidRequest(
            "resume.channel_offsets belongs to channel mode SEPARATE; use resume.audio_offset",
            field=f"{CONFIG_FIELD}.resume.channel_offsets",
        )
    for position, offset in enumerate(resume.channel_offsets):
        field = f"resume.channel_offsets[{position}]"
        _verify(field, _ms_of(offset), _ms_of(resume.audio_offset), _LONGEST_RESUME_MS, "ms")


def _verify_adaptation(path: str, message: pb.SpeechAdaptation) -> None:
    """Raise InvalidRequest where there is more than any model takes, before any of it is looked at."""
    _verify_at(f"{path}.vocabulary_id", len(message.vocabulary_id), 0, _LONGEST_NAME, "characters")
    _verify_at(f"{path}.hotwords", len(message.hotwords), 0, _MAX_HOTWORDS, "words")
    _verify_at(f"{path}.context_messages", len(message.context_messages), 0, _MAX_CONTEXT_MESSAGES, "messages")


def _verify(field: str, value: float, lowest: float, highest: float, unit: str) -> None:
    _verify_at(f"{CONFIG_FIELD}.{field}", value, lowest, highest, unit)


def _verify_at(path: str, value: float, lowest: float, highest: float, unit: str) -> None:
    if not lowest <= value <= highest:
        field = path.removeprefix(f"{CONFIG_FIELD}.")
        raise InvalidRequest(f"{field} is {value}; it must be {lowest} to {highest} {unit}".rstrip(), field=path)


def _not_built(enum: EnumDescriptor, value: int, field: str, built: str) -> InvalidRequest | NotBuiltYet:
    if value not in enum.values_by_number:
        return InvalidRequest(f"{value} is not a value of this field; use {built}", field=field)
    name = enum.values_by_number[value].name
    return NotBuiltYet(f"{name} is not supported yet; use {built}", field=field)


def _options_set(path: str, field: FieldDescriptor, value: object) -> Iterator[str]:
    """Yield the paths of all options that are set below a field."""
    if isinstance(value, Message) and not value.ListFields():
        # An empty message sets nothing, unless its presence is a choice.
        if field.containing_oneof:
            yield f"{path}="
    elif isinstance(value, Message) and value.DESCRIPTOR.file.package == pb.DESCRIPTOR.package:
        for child, below in value.ListFields():
            yield from _options_set(f"{path}.{child.name}", child, below)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        yield f"{path}={str(value).lower()}"
    else:
        yield path


def _shortest(value: float) -> float:
    """Return the shortest decimal of a field of 32 bits: 0.2, where Python reads 0.20000000298023224."""
    decimals = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((decimal for decimal in decimals if struct.unpack("f", struct.pack("f", decimal)) == (value,)), value)


def _ms_of(duration: Duration) -> int:
    return duration.seconds * 1000 + duration.nanos // 1_000_000
