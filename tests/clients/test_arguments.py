"""How the command line is read."""

from importlib.metadata import version
from pathlib import Path

import pytest

from asrgateway.arguments import parse
from asrgateway.commands import FileCommand, ModelsCommand


def test_a_path_alone_is_enough() -> None:
    command = parse(["file", "speech.wav"])
    assert isinstance(command, FileCommand)
    assert (command.paths, command.connection.target) == ((Path("speech.wav"),), "127.0.0.1:50051")
    assert (command.jobs, command.is_fast, command.output, command.timeout_seconds) == (4, False, "txt", None)
    assert command.connection.credentials() is None


@pytest.mark.parametrize("encoding", ["mp3", "ogg_opus", "auto"])
def test_a_coded_file_may_be_named_as_what_it_is(encoding: str) -> None:
    command = parse(["file", "call.bin", "--encoding", encoding])
    assert isinstance(command, FileCommand)
    assert command.encoding == encoding


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_captions_ask_for_the_times_of_the_words(form: str) -> None:
    command = parse(["file", "a.wav", "--output", form])
    assert isinstance(command, FileCommand)
    assert command.config.features.enable_word_time_offsets


def test_json_is_short_for_its_output() -> None:
    assert parse(["file", "a.wav", "--json"]) == parse(["file", "a.wav", "--output", "json"])


def test_a_certificate_file_implies_tls() -> None:
    command = parse(["models", "--ca", "ca.pem"])
    assert isinstance(command, ModelsCommand)
    assert command.connection.is_tls


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["file"], "PATH"),
        (["file", "a.wav", "--rate", "0"], "'0' is not a whole number above 0"),
        (["file", "a.wav", "--jobs", "0"], "'0' is not a whole number above 0"),
        (["file", "a.wav", "--timeout", "nan"], "'nan' is not a number above 0"),
        (["file", "a.wav", "--timeout", "soon"], "'soon' is not a number above 0"),
        (["file", "a.wav", "--encoding", "vinyl"], "vinyl"),
        (["file", "a.wav", "--endpointing", "semantic", "--silence", "1"], "--silence, "),
        (["models", "--target", "http://gateway:50051/"], "write --target gateway:50051"),
        (["models", "--target", "https://gateway"], "write --target gateway:50051 and add --tls"),
        (["models", "--target", "gateway"], "'gateway' has no port: write --target gateway:50051"),
        (["models", "--cert", "c.pem"], "--cert and --key belong together"),
        (["models", "--channel-option", "grpc.keepalive_time_ms"], "is not NAME=VALUE"),
    ],
)
def test_wrong_usage_prints_a_message_and_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["file", "--help"]])
def test_help_shows_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 0
    assert "asr-client file speech.wav" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"asr-client {version('asrgateway')}\n"


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:50051", "dns:///gateway:50051", "ipv4:10.0.0.1:50051,10.0.0.2:50051", "[::1]:50051", "unix:/run/asr"],
)
def test_a_target_may_be_any_that_grpc_resolves(target: str) -> None:
    assert parse(["models", "--target", target]).connection.target == target


def test_options_of_the_connection_are_numbers_or_text() -> None:
    command = parse(
        [
            "models",
            "--channel-option",
            "grpc.keepalive_time_ms=30000",
            "--channel-option",
            "grpc.lb_policy_name=pick_first",
        ]
    )
    assert command.connection.channel_options == (
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.lb_policy_name", "pick_first"),
    )
