from __future__ import annotations

import struct

import pytest

from asrgateway_server.audio.g711 import ALAW, MULAW
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.wav import WavDecoder
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import InvalidRequest, UndecodableAudio
from cpu_time import cpu_seconds
from decoding import decoded
from waves import FLOAT, PCM, extensible, fmt, part, samples, wav

SPEECH = bytes(range(240))
WAV = AudioFormat(encoding=Encoding.WAV)


# WAV, right -------------------------------------------------------------------------------------------------------

RIGHT = {
    "plain": wav(fmt(), samples(SPEECH)),
    "format with an empty extension": wav(fmt(more=bytes(2)), samples(SPEECH)),
    "extensible": wav(extensible(PCM), samples(SPEECH)),
    "list before the format": wav(part(b"LIST", b"INFOISFT"), fmt(), samples(SPEECH)),
    "list before the samples": wav(fmt(), part(b"LIST", bytes(26)), samples(SPEECH)),
    "padded part of odd length": wav(fmt(), part(b"bext", b"odd"), samples(SPEECH)),
    "empty part": wav(fmt(), part(b"junk", b""), samples(SPEECH)),
    "list after the samples": wav(fmt(), samples(SPEECH), part(b"LIST", b"INFOISFT")),
    "size 0": wav(fmt(), samples(SPEECH, 0)),
    "size 0xFFFFFFFF": wav(fmt(), samples(SPEECH, 0xFFFFFFFF)),
    "size beyond the end": wav(fmt(), samples(SPEECH, 0x7FFFFFFF)),
    "wrong size of the file": b"RIFF\0\0\0\0" + wav(fmt(), samples(SPEECH))[8:],
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 12, 43, 44, 45, 1000])
@pytest.mark.parametrize("data", RIGHT.values(), ids=RIGHT.keys())
def test_a_wav_file_cut_anywhere_yields_its_samples(data: bytes, size: int) -> None:
    decoder = WavDecoder(WAV)
    assert decoded(decoder, data, size) == SPEECH
    assert decoder.pcm_format == PcmFormat(16_000, 1)
    decoder.verify_end()


@pytest.mark.parametrize("size", [1, 3, 5, 1000])
def test_frames_of_a_wav_file_leave_whole(size: int) -> None:
    decoder = WavDecoder(WAV)
    data = wav(fmt(channels=6, rate=48_000), samples(SPEECH))
    lengths = [len(decoder.decode(data[start : start + size])) for start in range(0, len(data), size)]
    assert {length % 12 for length in lengths} == {0}


def test_a_wav_header_tells_the_format() -> None:
    decoder = WavDecoder(WAV)
    decoder.decode(wav(fmt(rate=44_100, channels=2), samples(SPEECH)))
    assert decoder.pcm_format == PcmFormat(44_100, 2)


def test_the_format_is_unknown_while_the_header_is_incomplete() -> None:
    decoder = WavDecoder(WAV)
    decoder.decode(wav(fmt(), samples(SPEECH))[:43])
    assert decoder.pcm_format is None


def test_what_follows_the_samples_is_passed_over_in_later_messages_too() -> None:
    decoder = WavDecoder(WAV)
    decoder.decode(wav(fmt(), samples(SPEECH)))
    assert decoder.decode(b"LIST and whatever else comes") == b""
    decoder.verify_end()


def test_a_wav_file_may_have_no_samples() -> None:
    decoder = WavDecoder(WAV)
    assert decoder.decode(wav(fmt(), samples(b""))) == b""
    decoder.verify_end()


def test_a_config_that_agrees_with_the_header_is_fine() -> None:
    decoder = WavDecoder(AudioFormat(encoding=Encoding.WAV, sample_rate_hertz=16_000, channel_count=1))
    assert decoder.decode(wav(fmt(), samples(SPEECH))) == SPEECH


# WAV of other samples ---------------------------------------------------------------------------------------------

VALUES = (0, 256, -256, 32_512, -32_768)
OTHERS = {
    "8 bits": (fmt(bits=8), bytes((value >> 8) + 128 for value in VALUES)),
    "24 bits": (fmt(bits=24), b"".join(struct.pack("<i", value << 8)[:3] for value in VALUES)),
    "32 bits": (fmt(bits=32), struct.pack("<5i", *(value << 16 for value in VALUES))),
    "extensible, 24 bits": (extensible(PCM, bits=24), b"".join(struct.pack("<i", value << 8)[:3] for value in VALUES)),
    "float": (fmt(tag=FLOAT, bits=32), struct.pack("<5f", *(value / 32_768 for value in VALUES))),
    "double": (fmt(tag=FLOAT, bits=64), struct.pack("<5d", *(value / 32_768 for value in VALUES))),
    "extensible, float": (extensible(FLOAT, bits=32), struct.pack("<5f", *(value / 32_768 for value in VALUES))),
}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("header", "data"), OTHERS.values(), ids=OTHERS.keys())
def test_samples_of_other_forms_become_16_bit_ones(header: bytes, data: bytes, size: int) -> None:
    decoder = WavDecoder(WAV)
    assert decoded(decoder, wav(header, samples(data)), size) == struct.pack("<5h", *VALUES)
    decoder.verify_end()


@pytest.mark.parametrize(("tag", "tables"), [(6, ALAW), (7, MULAW)])
def test_a_wav_file_may_hold_g711(tag: int, tables: tuple[bytes, bytes]) -> None:
    codes = bytes(range(0, 256, 5))
    expected = b"".join(
        bytes(pair) for pair in zip(codes.translate(tables[0]), codes.translate(tables[1]), strict=True)
    )
    assert WavDecoder(WAV).decode(wav(fmt(tag=tag, bits=8, rate=8_000), samples(codes))) == expected


def test_sound_beyond_the_loudest_is_clipped() -> None:
    loud = struct.pack("<2f", 2.0, -2.0)
    assert WavDecoder(WAV).decode(wav(fmt(tag=FLOAT, bits=32), samples(loud))) == struct.pack("<2h", 32_767, -32_768)


# WAV, wrong -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (wav(samples(SPEECH)), "no format before the samples"),
        (wav(part(b"junk", b"", 0x7FFFFFFF), fmt(), samples(SPEECH)), "a part of 2147483647 bytes"),
        (wav(part(b"fmt ", bytes(14)), samples(SPEECH)), "a format of 14 bytes"),
        (wav(fmt(bits=12), samples(SPEECH)), "format 1 with 12 bits"),
        (wav(fmt(tag=FLOAT, bits=16), samples(SPEECH)), "format 3 with 16 bits"),
        (wav(fmt(tag=85, bits=16), samples(SPEECH)), "format 85 with 16 bits"),
        (wav(extensible(PCM, bits=64), samples(SPEECH)), "format 1 with 64 bits"),
        (wav(fmt(rate=0), samples(SPEECH)), "has 0 Hz"),
        (wav(fmt(rate=3_999), samples(SPEECH)), "has 3999 Hz"),
        (wav(fmt(rate=4_000_000), samples(SPEECH)), "has 4000000 Hz"),
        (wav(fmt(channels=0), samples(SPEECH)), "has 0 channels"),
        (wav(fmt(channels=17), samples(SPEECH)), "has 17 channels"),
    ],
)
def test_a_wav_file_that_is_broken_or_of_another_kind_is_refused(data: bytes, complaint: str, size: int) -> None:
    with pytest.raises(UndecodableAudio, match=complaint) as caught:
        decoded(WavDecoder(WAV), data, size)
    assert caught.value.field == "audio"


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b"this is no audio at all, just a text",
        b"\0" * 64,
        b"RIFF\x24\0\0\0AVI LIST",
        b"RIFX" + wav(fmt(), samples(SPEECH))[4:],
        b"ID3\x04 an MP3 file",
    ],
)
def test_bytes_that_are_no_wav_file_are_refused(data: bytes, size: int) -> None:
    with pytest.raises(UndecodableAudio, match="does not start as a WAV file does") as caught:
        decoded(WavDecoder(WAV), data, size)
    assert caught.value.field == "streaming_config.decoding_config.encoding"


def test_what_no_wav_file_is_may_be_known() -> None:
    with pytest.raises(UndecodableAudio, match="it looks like a FLAC stream: set the encoding to FLAC"):
        WavDecoder(WAV).decode(b"fLaC" + bytes(60))


@pytest.mark.parametrize(
    "endless",
    [part(b"junk", bytes(100_000)) * 11, part(b"junk", b"") * 140_000],
    ids=["parts of some size", "empty parts"],
)
def test_a_header_that_never_ends_is_refused_before_it_fills_the_memory(endless: bytes) -> None:
    decoder = WavDecoder(WAV)
    with pytest.raises(UndecodableAudio, match="header is broken"):
        decoder.decode(wav(fmt()) + endless)


def test_a_header_in_many_pieces_costs_time_in_proportion() -> None:
    def seconds(size: int) -> float:
        def read() -> None:
            decoder = WavDecoder(WAV)
            decoder.decode(wav(part(b"LIST", b"", 1_000_000)))
            for _ in range(size):
                decoder.decode(b"x")

        return cpu_seconds(read)

    assert seconds(100_000) < 40 * seconds(10_000)  # What grows with the square takes 100 times as long.


def test_a_header_of_many_parts_is_refused() -> None:
    header = wav(part(b"junk", b"xy") * 999, fmt(), samples(SPEECH))
    assert WavDecoder(WAV).decode(header) == SPEECH
    with pytest.raises(UndecodableAudio, match="more than 1000 parts"):
        WavDecoder(WAV).decode(wav(part(b"junk", b"xy") * 1_000, fmt(), samples(SPEECH)))


@pytest.mark.parametrize("length", [1, 4, 12, 20, 43])
def test_audio_may_not_end_inside_its_header(length: int) -> None:
    decoder = WavDecoder(WAV)
    decoder.decode(wav(fmt(), samples(SPEECH))[:length])
    with pytest.raises(UndecodableAudio, match="ends inside its WAV header"):
        decoder.verify_end()


def test_a_wav_file_may_not_end_inside_a_frame() -> None:
    decoder = WavDecoder(WAV)
    decoder.decode(wav(fmt(channels=2), samples(SPEECH))[:-1])
    with pytest.raises(UndecodableAudio, match="ends inside a sample"):
        decoder.verify_end()


@pytest.mark.parametrize(
    ("claimed", "field"),
    [
        (AudioFormat(encoding=Encoding.WAV, sample_rate_hertz=8_000), "sample_rate_hertz"),
        (AudioFormat(encoding=Encoding.WAV, channel_count=2), "audio_channel_count"),
    ],
)
def test_a_header_that_contradicts_the_config_is_refused(claimed: AudioFormat, field: str) -> None:
    with pytest.raises(InvalidRequest, match="make them agree") as caught:
        WavDecoder(claimed).decode(wav(fmt(), samples(SPEECH)))
    assert caught.value.field == f"streaming_config.decoding_config.{field}"
