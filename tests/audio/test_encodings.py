"""What holds for every encoding, by real encoders."""

from __future__ import annotations

import random
import re

import pytest

from asrgateway_server.audio.encodings import open_decoder
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import InvalidRequest, UndecodableAudio
from coded_audio import (
    ALL,
    CHIRP_SECONDS,
    CODED,
    coded_chirps,
    coded_speech,
    decoded,
    decoded_by,
    encode,
    format_of,
    lateness_ms,
    pieces,
    seconds,
    steps,
)
from coded_speech import pcm as speech

FIELD = "streaming_config.decoding_config"
SPEECH_SECONDS = len(speech()) / 32_000
#: Formats whose frames stand for themselves.
JOINABLE = (Encoding.FLAC, Encoding.MP3, Encoding.AAC, Encoding.AMR, Encoding.AMR_WB, Encoding.OGG_OPUS)
GARBAGE = random.Random(3).randbytes(2_000).replace(b"\xff", b"\0").replace(b"\x04", b"\x07")


def name_of(encoding: Encoding) -> str:
    return encoding.name


# Bytes cut anywhere -----------------------------------------------------------------------------------------------


#: Of how many bytes a message is, and how many are sent: a header and some frames in the smallest ones, or all.
CUTS = [(1, 3_000), (7, 3_000), (100, 1 << 20), (5_000, 1 << 20)]


@pytest.mark.parametrize(("size", "count"), CUTS)
@pytest.mark.parametrize("encoding", ALL, ids=name_of)
def test_how_the_bytes_are_cut_does_not_matter(encoding: Encoding, size: int, count: int) -> None:
    data = coded_speech(encoding)[:count]
    assert decoded(encoding, data, size) == decoded(encoding, data)


@pytest.mark.parametrize("encoding", ALL, ids=name_of)
def test_audio_has_the_length_that_it_had_before_it_was_coded(encoding: Encoding) -> None:
    decoder = open_decoder(format_of(encoding))
    pcm = decoded_by(decoder, coded_speech(encoding), 500)
    decoder.verify_end()
    assert seconds(decoder, pcm) == pytest.approx(SPEECH_SECONDS, abs=0.07)


@pytest.mark.parametrize("encoding", ALL, ids=name_of)
def test_a_position_is_right_within_50_ms(encoding: Encoding) -> None:
    pipeline = AudioPipeline(format_of(encoding), 8_000)
    fed = [part for piece in pieces(coded_chirps(encoding), 300) for part in _fed(pipeline, piece)]
    pcm = b"".join((*fed, pipeline.flush()))
    late = [lateness_ms(pcm, 8_000, begin) for begin in CHIRP_SECONDS]
    assert max(map(abs, late)) <= 50, late


def test_wrong_bytes_in_webm_move_nothing_behind_them() -> None:
    """The name of a block, the size of another, the track of a third."""
    data = coded_chirps(Encoding.WEBM_OPUS)
    blocks = [found.start() for found in re.finditer(rb"\xa3[\x40-\x45]?.\x81", data[1_000:4_000], re.DOTALL)][:3]
    for number, place in enumerate(blocks):
        wrong = bytearray(data)
        wrong[1_000 + place + number] ^= 0x50
        pipeline = AudioPipeline(format_of(Encoding.WEBM_OPUS), 8_000)
        pcm = b"".join((*_fed(pipeline, bytes(wrong)), pipeline.flush()))
        assert abs(lateness_ms(pcm, 8_000, CHIRP_SECONDS[-1])) <= 50, number
    assert len(blocks) == 3


def _fed(pipeline: AudioPipeline, piece: bytes) -> list[bytes]:
    parts = [pipeline.feed(piece)]
    while pipeline.has_more:
        parts.append(pipeline.feed(b""))
    return parts


@pytest.mark.parametrize("encoding", CODED, ids=name_of)
def test_audio_comes_out_while_it_comes_in(encoding: Encoding) -> None:
    """At most two frames and one message behind: FLAC's frames here last 72 ms, all others' 64 ms or less."""
    decoder = open_decoder(format_of(encoding))
    data = coded_speech(encoding)
    size = round(len(data) / SPEECH_SECONDS / 20)
    ahead = []
    frames = 0
    for number, piece in enumerate(pieces(data, size), 1):
        frames += sum(len(pcm) for pcm in steps(decoder, piece))
        if decoder.pcm_format:
            out = frames / decoder.pcm_format.frame_bytes / decoder.pcm_format.sample_rate_hertz
            ahead.append(number * size / len(data) * SPEECH_SECONDS - out)
    # Bytes are not spread evenly over the audio, so that the place of a byte is known within a third of a second only.
    assert max(ahead) < 0.05 + 2 * 0.072 + 0.3


@pytest.mark.parametrize("encoding", CODED, ids=name_of)
def test_one_step_returns_little_however_much_has_come(encoding: Encoding) -> None:
    decoder = open_decoder(format_of(encoding))
    lengths = [seconds(decoder, pcm) for pcm in steps(decoder, coded_speech(encoding)) if pcm]
    assert max(lengths) < 0.4


# Streams that are not whole ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", JOINABLE, ids=name_of)
def test_a_stream_may_be_joined_in_its_middle(encoding: Encoding) -> None:
    data = coded_speech(encoding)
    decoder = open_decoder(format_of(encoding))
    pcm = decoded_by(decoder, data[len(data) // 3 :], 100)
    decoder.verify_end()
    assert 0.3 * SPEECH_SECONDS < seconds(decoder, pcm) < 0.9 * SPEECH_SECONDS


@pytest.mark.parametrize("encoding", CODED, ids=name_of)
def test_a_stream_may_end_anywhere(encoding: Encoding) -> None:
    data = coded_speech(encoding)
    decoder = open_decoder(format_of(encoding))
    pcm = decoded_by(decoder, data[: len(data) * 2 // 3], 100)
    decoder.verify_end()
    assert 0.3 * SPEECH_SECONDS < seconds(decoder, pcm) < 0.9 * SPEECH_SECONDS


@pytest.mark.parametrize("encoding", [Encoding.FLAC, Encoding.MP3, Encoding.AAC], ids=name_of)
def test_bytes_before_the_first_frame_are_passed_over(encoding: Encoding) -> None:
    data = coded_speech(encoding)
    decoder = open_decoder(format_of(encoding))
    pcm = decoded_by(decoder, GARBAGE + data, 100)
    assert seconds(decoder, pcm) == pytest.approx(SPEECH_SECONDS, abs=0.1)


@pytest.mark.parametrize("encoding", CODED, ids=name_of)
def test_bytes_between_frames_cost_no_more_than_what_they_touch(encoding: Encoding) -> None:
    data = coded_speech(encoding)
    middle = len(data) // 2
    decoder = open_decoder(format_of(encoding))
    pcm = decoded_by(decoder, data[:middle] + GARBAGE[:300] + data[middle:], 100)
    assert 0.4 * SPEECH_SECONDS < seconds(decoder, pcm) < 1.2 * SPEECH_SECONDS


@pytest.mark.parametrize("encoding", [Encoding.MP3, Encoding.AAC, Encoding.OGG_OPUS, Encoding.FLAC], ids=name_of)
def test_a_stream_that_changes_keeps_the_format_of_its_beginning(encoding: Encoding) -> None:
    changed = {
        Encoding.MP3: ("mp3", "libmp3lame", 24_000, 2),
        Encoding.AAC: ("adts", "aac", 24_000, 2),
        Encoding.OGG_OPUS: ("ogg", "libopus", 48_000, 2),
        Encoding.FLAC: ("flac", "flac", 24_000, 2),
    }
    decoder = open_decoder(format_of(encoding))
    pcm = decoded_by(decoder, coded_speech(encoding) + encode(speech(), *changed[encoding]), 100)
    assert decoder.pcm_format == PcmFormat(48_000 if encoding is Encoding.OGG_OPUS else 16_000, 1)
    assert seconds(decoder, pcm) == pytest.approx(2 * SPEECH_SECONDS, abs=0.2)


def test_a_tag_with_a_picture_of_megabytes_is_passed_over() -> None:
    tag = b"ID3\x04\0\0" + bytes((1, 0x40, 0, 0)) + bytes((1 << 21) + (0x40 << 14))
    decoder = open_decoder(AudioFormat(encoding=Encoding.MP3))
    pcm = decoded_by(decoder, tag + coded_speech(Encoding.MP3), 16_384)
    assert seconds(decoder, pcm) == pytest.approx(SPEECH_SECONDS, abs=0.07)


# Declarations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 50, 3_000])
@pytest.mark.parametrize("encoding", [*CODED, Encoding.WAV], ids=name_of)
def test_auto_finds_every_encoding_that_has_a_header(encoding: Encoding, size: int) -> None:
    data = coded_speech(encoding)[:3_000]
    assert decoded(Encoding.AUTO, data, size) == decoded(encoding, data)


def test_auto_finds_what_follows_a_tag() -> None:
    tag = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    assert decoded(Encoding.AUTO, tag + coded_speech(Encoding.AAC), 99) == decoded(
        Encoding.AAC, coded_speech(Encoding.AAC)
    )


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (bytes(200), "it is not recognised"),
        (b"\0\0\0\x20ftypM4A " + bytes(200), "an MP4 or M4A file, which is not taken"),
        (b"\x02#!SILK_V3" + bytes(200), "a SILK recording, which is not taken"),
        (b"<html><head><title>404 Not Found</title></head></html>" * 3, "text, which is not taken"),
    ],
)
def test_auto_says_what_it_cannot_take(start: bytes, says: str) -> None:
    with pytest.raises(UndecodableAudio, match=says) as caught:
        decoded(Encoding.AUTO, start)
    assert caught.value.field == f"{FIELD}.encoding"


# AAC and FLAC may have a tag in front as MP3 has.
TAGGED = (Encoding.AAC, Encoding.FLAC)
WRONG = [
    (declared, encoding)
    for declared in CODED
    for encoding in CODED
    if declared is not encoding and not (encoding is Encoding.MP3 and declared in TAGGED)
]


@pytest.mark.parametrize(("declared", "encoding"), WRONG, ids=name_of)
def test_a_wrong_declaration_is_refused_and_says_what_the_audio_is(declared: Encoding, encoding: Encoding) -> None:
    says = f"declared as {declared.name}.*set the encoding to {encoding.name}$"
    with pytest.raises(UndecodableAudio, match=says) as caught:
        decoded(declared, coded_speech(encoding), 64)
    assert caught.value.field == f"{FIELD}.encoding"


@pytest.mark.parametrize("declared", [Encoding.LINEAR16, Encoding.MULAW, Encoding.ALAW], ids=name_of)
@pytest.mark.parametrize(
    "encoding", [Encoding.WAV, Encoding.FLAC, Encoding.OGG_OPUS, Encoding.WEBM_OPUS, Encoding.AMR], ids=name_of
)
def test_a_file_is_not_taken_for_samples(declared: Encoding, encoding: Encoding) -> None:
    decoder = open_decoder(AudioFormat(encoding=declared, sample_rate_hertz=8_000))
    with pytest.raises(InvalidRequest, match=f"set the encoding to {encoding.name}") as caught:
        decoded_by(decoder, coded_speech(encoding), 10)
    assert caught.value.field == f"{FIELD}.encoding"


@pytest.mark.parametrize("encoding", CODED, ids=name_of)
def test_bytes_without_a_frame_are_refused_before_they_are_many(encoding: Encoding) -> None:
    decoder = open_decoder(format_of(encoding))
    with pytest.raises(UndecodableAudio, match=f"declared as {encoding.name}, and the audio holds none in 65536 bytes"):
        decoded_by(decoder, bytes((1, 255, 128, 9)) * 20_000, 4_096)


@pytest.mark.parametrize("encoding", CODED, ids=name_of)
def test_a_stream_without_audio_is_refused_at_its_end(encoding: Encoding) -> None:
    decoder = open_decoder(format_of(encoding))
    assert decoded_by(decoder, bytes((1, 255, 128, 9)) * 30) == b""
    with pytest.raises(UndecodableAudio, match="holds none") as caught:
        decoder.verify_end()
    assert caught.value.field == f"{FIELD}.encoding"


@pytest.mark.parametrize("encoding", CODED, ids=name_of)
def test_a_header_that_contradicts_the_config_is_refused(encoding: Encoding) -> None:
    with pytest.raises(InvalidRequest, match=r"the config says 11025, the .* header") as caught:
        decoded_by(open_decoder(AudioFormat(encoding=encoding, sample_rate_hertz=11_025)), coded_speech(encoding))
    assert caught.value.field == f"{FIELD}.sample_rate_hertz"


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_opus_may_be_declared_at_any_rate_that_it_codes(rate: int) -> None:
    audio = AudioFormat(encoding=Encoding.OGG_OPUS, sample_rate_hertz=rate, channel_count=1)
    assert decoded_by(open_decoder(audio), coded_speech(Encoding.OGG_OPUS))
