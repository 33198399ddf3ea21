"""The options of the contract as flags: one row each, named by its path within StreamingConfig."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.json_format import ParseDict

from asrgateway import option_values as values
from asrgateway.v1.recognition_pb2 import StreamingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A flag without a value.

    Attributes:
        flag: Such as ``--strict``.
        field: The path of the field that it makes true.
        help: What it does.
        has_opposite: ``--no-…`` makes the field false; without either flag the field is not set.
        is_default: The field is true unless the opposite is given.
    """

    flag: str
    field: str
    help: str
    has_opposite: bool = False
    is_default: bool = False

    def add_to(self, group: argparse._ArgumentGroup) -> None:
        """Add the flag to a group of the help."""
        if self.has_opposite:
            group.add_argument(
                self.flag,
                dest=self.field,
                action=argparse.BooleanOptionalAction,
                default=True if self.is_default else None,
                help=self.help,
            )
        else:
            group.add_argument(self.flag, dest=self.field, action="store_const", const=True, help=self.help)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A flag with a value.

    Attributes:
        flag: Such as ``--model``.
        field: The path of the field that it sets.
        read: Turns the text into protobuf JSON; a list if the flag may be repeated.
        metavar: What the help calls the value.
        help: What it does.
        is_repeated: The values of all flags of this field are one list.
    """

    flag: str
    field: str
    read: Callable[[str], object]
    metavar: str
    help: str
    is_repeated: bool = False

    def add_to(self, group: argparse._ArgumentGroup) -> None:
        """Add the flag to a group of the help."""
        group.add_argument(
            self.flag,
            dest=self.field,
            action="extend" if self.is_repeated else "store",
            type=self.read,
            metavar=self.metavar,
            help=self.help,
        )


_MIX: Final = {name: f"CHANNEL_MODE_{name.upper()}" for name in ("mix", "first", "last", "separate")}
_ENDPOINTING: Final[Mapping[str, object]] = {
    "vad": {"server_vad": {}},
    "semantic": {"semantic": {}},
    "manual": {"manual": {}},
}
_KEEP_ALIVE: Final = {name: f"KEEP_ALIVE_POLICY_{name.upper()}" for name in ("inject", "hibernate", "off")}

GROUPS: Final[Mapping[str, tuple[Switch | Value, ...]]] = {
    "what is spoken": (
        Value(
            flag="--model",
            field="model",
            read=values.text,
            metavar="M",
            help="model or alias, as 'asr-client models' lists them (default: the gateway's)",
        ),
        Value(
            flag="--language",
            field="language_codes",
            read=values.texts,
            metavar="L",
            help="language that is spoken, such as en-US; repeat it for several, the likeliest first",
            is_repeated=True,
        ),
        Value(
            flag="--channel-mode",
            field="decoding_config.channel_mode",
            read=values.one_of(_MIX),
            metavar="MODE",
            help="which channels are recognised: mix (default), first, last, or separate, each by itself",
        ),
    ),
    "words and subjects to expect": (
        Value(
            flag="--hotword",
            field="adaptation.hotwords",
            read=values.hotword,
            metavar="TEXT[=WEIGHT]",
            help="name or word to expect, with a weight from 1 to 5; repeat it for several",
            is_repeated=True,
        ),
        Value(
            flag="--hotwords",
            field="adaptation.hotwords",
            read=values.hotwords_of_file,
            metavar="FILE",
            help="file with such words, one per line: TEXT, TEXT=WEIGHT or TEXT=WEIGHT=LANGUAGE",
            is_repeated=True,
        ),
        Value(
            flag="--vocabulary-id",
            field="adaptation.vocabulary_id",
            read=values.text,
            metavar="ID",
            help="hot-word table that the vendor has stored",
        ),
        Value(
            flag="--context",
            field="adaptation.context",
            read=values.text,
            metavar="TEXT",
            help="what the speech is about, in free text",
        ),
        Value(
            flag="--context-messages",
            field="adaptation.context_messages",
            read=values.context_messages,
            metavar="FILE",
            help="file with earlier messages of the conversation, one per line: 'user: TEXT' or 'assistant: TEXT'",
        ),
    ),
    "when an utterance ends": (
        Value(
            flag="--endpointing",
            field="endpointing",
            read=values.one_of(_ENDPOINTING),
            metavar="MODE",
            help="vad: at silence (default); semantic: by the meaning of the words; manual: at a commit only",
        ),
        Value(
            flag="--silence",
            field="endpointing.server_vad.silence",
            read=values.seconds,
            metavar="S",
            help="silence that ends an utterance, 0.2 to 6 seconds",
        ),
        Value(
            flag="--vad-threshold",
            field="endpointing.server_vad.threshold",
            read=values.any_number,
            metavar="X",
            help="from -1, more sounds count as speech, to 1, more sounds count as noise",
        ),
        Switch(
            flag="--multi-threshold",
            field="endpointing.server_vad.multi_threshold",
            help="let shorter silence end an utterance as it grows longer",
        ),
    ),
    "the text": (
        Switch(
            flag="--interim",
            field="interim_results",
            help="ask for the text so far while an utterance is spoken",
            has_opposite=True,
            is_default=True,
        ),
        Switch(
            flag="--punctuation",
            field="features.enable_automatic_punctuation",
            help="write punctuation marks, or none (default: as the model does)",
            has_opposite=True,
        ),
        Switch(
            flag="--itn",
            field="features.enable_inverse_text_normalization",
            help="write spoken numbers in digits, or in words (default: as the model does)",
            has_opposite=True,
        ),
        Switch(
            flag="--disfluency-removal",
            field="features.enable_disfluency_removal",
            help="leave out words such as 'um', or keep them (default: as the model does)",
            has_opposite=True,
        ),
        Value(
            flag="--mask-word",
            field="features.sensitive_word_filter.masked_words",
            read=values.texts,
            metavar="WORD",
            help="word to replace by asterisks; repeat it for several",
            is_repeated=True,
        ),
        Value(
            flag="--remove-word",
            field="features.sensitive_word_filter.removed_words",
            read=values.texts,
            metavar="WORD",
            help="word to remove; repeat it for several",
            is_repeated=True,
        ),
        Switch(
            flag="--builtin-word-list",
            field="features.sensitive_word_filter.use_builtin_list",
            help="mask the words of the vendor's own list too, or not (default: as the vendor does)",
            has_opposite=True,
        ),
        Switch(flag="--word-times", field="features.enable_word_time_offsets", help="ask for the times of the words"),
        Switch(
            flag="--speech-events",
            field="features.enable_voice_activity_events",
            help="ask for an event when speech begins and ends",
        ),
        Switch(flag="--emotion", field="features.enable_emotion", help="ask for the speaker's emotion"),
    ),
    "how strict, how patient": (
        Switch(
            flag="--strict",
            field="strict",
            help="fail if the model does not support an option, in place of a warning",
        ),
        Switch(
            flag="--fail-on-audio-loss",
            field="fail_on_audio_loss",
            help="fail if audio is lost, in place of a warning",
        ),
        Value(
            flag="--keep-alive",
            field="keep_alive.policy",
            read=values.one_of(_KEEP_ALIVE),
            metavar="POLICY",
            help="while you send nothing: inject silence (default), hibernate after a while, or off",
        ),
        Value(
            flag="--quiet-after",
            field="keep_alive.quiet_after",
            read=values.seconds,
            metavar="S",
            help="seconds without audio until then, 0.1 to 60 (default: 0.5)",
        ),
        Value(
            flag="--request-id",
            field="request_id",
            read=values.text,
            metavar="ID",
            help="your own id of the call, for the gateway's log",
        ),
        Value(
            flag="--vendor-parameters",
            field="vendor_parameters",
            read=values.json_object,
            metavar="JSON",
            help="JSON object with parameters of the vendor that have no flag here; @FILE reads it from a file",
        ),
    ),
}

OPTIONS: Final = tuple(option for options in GROUPS.values() for option in options)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every option of the contract, in groups."""
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            option.add_to(group)


def config_from(arguments: argparse.Namespace) -> StreamingConfig:
    """Return what the flags ask for.

    Raises:
        ValueError: Options contradict each other.
    """
    tree: dict[str, object] = {}
    given = vars(arguments)
    for field in dict.fromkeys(option.field for option in OPTIONS):
        if given[field] is not None:
            _set(tree, field.split("."), given[field])
    endpointing = tree.get("endpointing")
    if isinstance(endpointing, dict) and len(endpointing) > 1:
        raise ValueError("--silence, --vad-threshold and --multi-threshold belong to --endpointing vad")
    return ParseDict(tree, StreamingConfig())


def _set(tree: dict[str, object], path: list[str], value: object) -> None:
    """Put a value at a path of nested dictionaries; what stands there stays."""
    name, *rest = path
    if not rest:
        tree[name] = dict(value) if isinstance(value, dict) else value
        return
    branch = tree.setdefault(name, {})
    if isinstance(branch, dict):
        _set(branch, rest, value)
