"""Flags for the options of the contract."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from asrgateway import Hotword, StreamingConfig
from asrgateway.arguments import parse
from asrgateway.cli import run
from asrgateway.commands import FileCommand
from scripted_gateway import Gateway

#: What each group of flags sets, as protobuf JSON.
ONE_BY_ONE: list[tuple[list[str], dict[str, object]]] = [
    (["--model", "m"], {"model": "m"}),
    (["--language", "zh", "--language", "en-US"], {"language_codes": ["zh", "en-US"]}),
    (["--channel-mode", "first"], {"decoding_config": {"channel_mode": "CHANNEL_MODE_FIRST"}}),
    (["--hotword", "Kestrel"], {"adaptation": {"hotwords": [{"text": "Kestrel"}]}}),
    (["--hotword", "New York=5"], {"adaptation": {"hotwords": [{"text": "New York", "weight": 5}]}}),
    (
        ["--hotword", "柳林=-1=zh", "--hotword", "Rain==en"],
        {
            "adaptation": {
                "hotwords": [
                    {"text": "柳林", "weight": -1, "language_code": "zh"},
                    {"text": "Rain", "language_code": "en"},
                ]
            }
        },
    ),
    (["--vocabulary-id", "v1"], {"adaptation": {"vocabulary_id": "v1"}}),
    (["--context", "birds"], {"adaptation": {"context": "birds"}}),
    (["--endpointing", "vad"], {"endpointing": {"server_vad": {}}}),
    (["--endpointing", "semantic"], {"endpointing": {"semantic": {}}}),
    (["--endpointing", "manual"], {"endpointing": {"manual": {}}}),
    (["--silence", "0.8"], {"endpointing": {"server_vad": {"silence": "0.8s"}}}),
    (["--endpointing", "vad", "--silence", "1"], {"endpointing": {"server_vad": {"silence": "1s"}}}),
    (["--vad-threshold", "-0.5"], {"endpointing": {"server_vad": {"threshold": -0.5}}}),
    (["--multi-threshold"], {"endpointing": {"server_vad": {"multi_threshold": True}}}),
    (["--punctuation"], {"features": {"enable_automatic_punctuation": True}}),
    (["--no-punctuation"], {"features": {"enable_automatic_punctuation": False}}),
    (["--no-itn"], {"features": {"enable_inverse_text_normalization": False}}),
    (["--disfluency-removal"], {"features": {"enable_disfluency_removal": True}}),
    (["--word-times"], {"features": {"enable_word_time_offsets": True}}),
    (["--speech-events"], {"features": {"enable_voice_activity_events": True}}),
    (["--emotion"], {"features": {"enable_emotion": True}}),
    (["--mask-word", "darn"], {"features": {"sensitive_word_filter": {"masked_words": ["darn"]}}}),
    (
        ["--remove-word", "a", "--remove-word", "b"],
        {"features": {"sensitive_word_filter": {"removed_words": ["a", "b"]}}},
    ),
    (["--no-builtin-word-list"], {"features": {"sensitive_word_filter": {"use_builtin_list": False}}}),
    (["--keep-alive", "hibernate"], {"keep_alive": {"policy": "KEEP_ALIVE_POLICY_HIBERNATE"}}),
    (["--quiet-after", "2.5"], {"keep_alive": {"quiet_after": "2.5s"}}),
    (["--strict"], {"strict": True}),
    (["--fail-on-audio-loss"], {"fail_on_audio_loss": True}),
    (["--request-id", "r1"], {"request_id": "r1"}),
    (["--vendor-parameters", '{"top": {"deep": [1, true]}}'], {"vendor_parameters": {"top": {"deep": [1, True]}}}),
]


def config_of(*flags: str) -> StreamingConfig:
    command = parse(["file", "a.wav", *flags])
    assert isinstance(command, FileCommand)
    return command.config


@pytest.mark.parametrize(("flags", "config"), ONE_BY_ONE, ids=lambda value: " ".join(value)[:40])
def test_a_flag_sets_its_field_and_nothing_else(flags: list[str], config: dict[str, object]) -> None:
    assert config_of(*flags) == ParseDict({"interim_results": True, **config}, StreamingConfig())


def test_without_flags_only_interim_results_are_asked_for() -> None:
    assert config_of() == StreamingConfig(interim_results=True)
    assert config_of("--no-interim") == StreamingConfig()


def leaves(descriptor: Descriptor, path: str = "") -> Iterator[str]:
    """Yield the paths of all fields that hold a value; a message without fields counts as one."""
    for field in descriptor.fields:
        name = f"{path}{field.name}"
        message = field.message_type
        if message is None or message.full_name.startswith("google.") or not message.fields:
            yield name
        else:
            yield from leaves(message, f"{name}.")


def set_leaves(message: Message, path: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        nested = field.message_type
        if nested is None or nested.full_name.startswith("google.") or not nested.fields:
            yield name
        else:
            for item in value if not isinstance(value, Message) else [value]:
                yield from set_leaves(item, f"{name}.")


async def test_every_field_of_the_config_but_resume_can_be_reached(gateway: Gateway, tmp_path: Path) -> None:
    audio, messages = tmp_path / "a.raw", tmp_path / "messages.txt"
    audio.write_bytes(bytes(3200))
    messages.write_text("assistant: Hello\n")
    flags = [flag for option, _ in ONE_BY_ONE if option[0] != "--endpointing" for flag in option]
    form = ["--encoding", "linear16", "--rate", "16000", "--channels", "1", "--context-messages", str(messages)]
    for more in (flags, ["--endpointing", "semantic"], ["--endpointing", "manual"]):
        assert await run(parse(["file", str(audio), *form, *more, "--fast", "--target", gateway.target])) == 0
    configs = [request.streaming_config for request in gateway.script.received if request.HasField("streaming_config")]
    reached = {leaf for config in configs for leaf in set_leaves(config)}
    expected = {leaf for leaf in leaves(StreamingConfig.DESCRIPTOR) if not leaf.startswith("resume.")}
    assert reached == expected


def test_hot_words_of_a_file_join_those_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# birds\nKestrel\t5\ten\n\nwagtail=3\n", encoding="utf-8-sig")
    assert list(config_of("--hotwords", str(path), "--hotword", "wren").adaptation.hotwords) == [
        Hotword(text="Kestrel", weight=5, language_code="en"),
        Hotword(text="wagtail", weight=3),
        Hotword(text="wren"),
    ]


def test_context_messages_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "messages.txt"
    path.write_text("user: Which bird: this one?\nAssistant: A kestrel.\n")
    assert config_of("--context-messages", str(path)).adaptation == ParseDict(
        {
            "context_messages": [
                {"role": "CONTEXT_ROLE_USER", "text": "Which bird: this one?"},
                {"role": "CONTEXT_ROLE_ASSISTANT", "text": "A kestrel."},
            ]
        },
        StreamingConfig().adaptation,
    )


def test_vendor_parameters_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "more.json"
    path.write_text(json.dumps({"beam": 3}))
    assert config_of("--vendor-parameters", f"@{path}").vendor_parameters["beam"] == 3


def test_seconds_may_have_a_fraction() -> None:
    assert config_of("--silence", "1.25").endpointing.server_vad.silence == Duration(seconds=1, nanos=250_000_000)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--hotword", "secret=much"], "a hot word is TEXT, TEXT=WEIGHT"),
        (["--hotword", "=5"], "a hot word is TEXT"),
        (["--hotword", "secret=1=en=more"], "a hot word is TEXT"),
        (["--hotword", "secret\udcff"], "is not UTF-8"),
        (["--hotwords", "secret.txt"], "secret.txt: No such file or directory"),
        (["--vendor-parameters", "{secret}"], "this is not JSON"),
        (["--vendor-parameters", '["secret"]'], "this is not a JSON object"),
        (["--vendor-parameters", '{"secret": NaN}'], "NaN is not JSON"),
        (["--vad-threshold", "much"], "'much' is not a number"),
        (["--channel-mode", "both"], "'both' is not one of mix, first, last"),
    ],
)
def test_a_value_that_cannot_be_sent_ends_with_2(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        config_of(*flags)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "content", "message"),
    [
        ("--hotwords", "fine\nsecret=x\n", "line 2: a hot word is"),
        ("--context-messages", "user: fine\n\nsecret\n", "line 3 does not begin with 'user:' or 'assistant:'"),
    ],
)
def test_a_wrong_line_of_a_file_is_named_by_its_number_only(
    flag: str, content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.txt"
    path.write_text(content)
    with pytest.raises(SystemExit):
        config_of(flag, str(path))
    error = capsys.readouterr().err
    assert message in error
    assert "secret" not in error
