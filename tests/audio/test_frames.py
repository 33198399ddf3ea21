"""MP3, AAC, AMR and FLAC to their frames."""

from __future__ import annotations

import pytest

from asrgateway_server.audio import adts, flac, mp3
from asrgateway_server.audio.adts import AdtsFramer
from asrgateway_server.audio.amr import AmrFramer
from asrgateway_server.audio.encodings import open_decoder
from asrgateway_server.audio.flac import FlacFramer
from asrgateway_server.audio.mp3 import DECODER_DELAY_SAMPLES, USUAL_DELAY_SAMPLES, Mp3Framer
from asrgateway_server.audio.packets import Framer, Gap, Packet, Stream, Unit
from asrgateway_server.config import AudioFormat, Encoding
from coded_audio import coded_speech, decoded_by, pieces
from containers import flac_frame, flac_info

AMR = AudioFormat(encoding=Encoding.AMR)
AMR_WB = AudioFormat(encoding=Encoding.AMR_WB)


def units(framer: Framer, data: bytes, size: int = 10_000) -> list[Unit]:
    return [*(unit for piece in pieces(data, size) for unit in framer.feed(piece)), *framer.flush()]


def packets(found: list[Unit]) -> list[bytes]:
    return [unit.data for unit in found if isinstance(unit, Packet)]


# MP3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "size", "samples", "rate", "channels"),
    [
        ("fffb9064", 417, 1152, 44_100, 2),
        ("fffb9264", 418, 1152, 44_100, 2),
        ("fffb14c4", 96, 1152, 48_000, 1),
        ("fff358c0", 180, 576, 16_000, 1),
        ("ffe318c4", 72, 576, 8_000, 1),
    ],
)
def test_an_mp3_header_says_how_long_its_frame_is(
    header: str, size: int, samples: int, rate: int, channels: int
) -> None:
    found = mp3.parse_header(bytes.fromhex(header))
    assert found is not None
    assert (found.frame_bytes, found.samples, found.sample_rate_hertz, found.channel_count) == (
        size,
        samples,
        rate,
        channels,
    )


@pytest.mark.parametrize("header", ["ffeb9064", "fffd9064", "fffbf064", "fffb0064", "fffb9c64", "fefb9064"])
def test_what_is_no_layer_3_or_has_no_size_is_no_mp3_header(header: str) -> None:
    assert mp3.parse_header(bytes.fromhex(header)) is None


def mp3_frame(fill: int = 0, main_data: int = 0) -> bytes:
    return bytes.fromhex("fff358c0") + bytes((main_data,)) + bytes([fill]) * 175


def mp3_tag(frames: int, delay: int, padding: int) -> bytes:
    lame = b"Lavf" + bytes(17) + (delay << 12 | padding).to_bytes(3, "big")
    return (mp3_frame()[:13] + b"Info" + b"\0\0\0\1" + frames.to_bytes(4, "big") + lame).ljust(180, b"\0")


def test_the_tag_of_an_mp3_file_is_no_audio_and_says_what_to_cut() -> None:
    stream, *found = units(Mp3Framer(AMR), mp3_tag(3, 576, 1_129) + mp3_frame() * 4, 7)
    assert isinstance(stream, Stream)
    assert stream.skipped_samples == 576 + DECODER_DELAY_SAMPLES
    assert [unit.kept_samples for unit in found if isinstance(unit, Packet)] == [576, 552, 0, 576]


@pytest.mark.parametrize(("main_data", "skipped"), [(0, USUAL_DELAY_SAMPLES), (9, 0)])
def test_without_a_tag_the_usual_delay_is_cut_where_the_stream_begins(main_data: int, skipped: int) -> None:
    stream = units(Mp3Framer(AMR), mp3_frame(main_data=main_data) * 4)[0]
    assert isinstance(stream, Stream)
    assert stream.skipped_samples == skipped


def test_mp3_frames_are_found_after_bytes_that_only_begin_as_one() -> None:
    false = bytes.fromhex("fff358c0") + bytes(30)
    assert packets(units(Mp3Framer(AMR), false + mp3_frame(1) * 3, 11)) == [mp3_frame(1)] * 3


# AAC --------------------------------------------------------------------------------------------------------------


def test_an_adts_header_says_how_long_its_frame_is() -> None:
    found = adts.parse_header(bytes.fromhex("fff150800c1ffc"))
    assert found is not None
    assert (found.frame_bytes, found.samples, found.sample_rate_hertz, found.channel_count) == (96, 1024, 44_100, 2)


@pytest.mark.parametrize("header", ["fffb50800c1ffc", "fff174800c1ffc", "fff1508000fffc"])
def test_a_layer_a_rate_or_a_size_that_is_none_is_no_adts_header(header: str) -> None:
    assert adts.parse_header(bytes.fromhex(header)) is None


def test_the_first_frame_of_aac_is_not_heard() -> None:
    stream = units(AdtsFramer(AMR), coded_speech(Encoding.AAC))[0]
    assert isinstance(stream, Stream)
    assert stream.skipped_samples == 1024


# AMR --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audio", "magic", "frame"), [(AMR, b"#!AMR\n", b"\x3c" + bytes(31)), (AMR_WB, b"#!AMR-WB\n", b"\x14" + bytes(32))]
)
@pytest.mark.parametrize("size", [1, 5, 1_000])
def test_amr_frames_follow_the_first_line_or_stand_alone(
    audio: AudioFormat, magic: bytes, frame: bytes, size: int
) -> None:
    assert packets(units(AmrFramer(audio), magic + frame * 3, size)) == [frame] * 3
    assert packets(units(AmrFramer(audio), frame * 9, size)) == [frame] * 9


def test_frames_that_were_not_sent_are_silence() -> None:
    found = units(AmrFramer(AMR), b"#!AMR\n" + b"\x7c" * 3)
    assert found[1:] == [Gap(160)] * 3
    decoder = open_decoder(AMR)
    assert decoded_by(decoder, b"#!AMR\n" + b"\x7c" * 100) == bytes(100 * 320)


# FLAC -------------------------------------------------------------------------------------------------------------


def test_a_flac_header_says_how_long_its_frame_is() -> None:
    found = flac.parse_header(flac_frame(5, samples=300).ljust(16, b"\0"))
    assert found is not None
    assert (found.samples, found.sample_rate_hertz, found.channel_count, found.number) == (300, 16_000, 1, 5)


@pytest.mark.parametrize("size", [1, 13, 1_000])
def test_flac_frames_end_where_the_next_one_begins(size: int) -> None:
    frames = [flac_frame(number) for number in range(5)]
    assert packets(units(FlacFramer(AMR), flac_info() + b"".join(frames), size)) == frames


def test_a_flac_frame_that_is_missing_is_a_gap() -> None:
    found = units(FlacFramer(AMR), flac_info() + flac_frame(0) + flac_frame(1) + flac_frame(4))
    assert [unit for unit in found if isinstance(unit, Gap)] == [Gap(2 * 4_096)]


def test_a_picture_in_flac_is_passed_over() -> None:
    info = bytearray(flac_info())
    info[4] &= 0x7F
    picture = b"\x86" + (1 << 20).to_bytes(3, "big") + bytes(1 << 20)
    assert packets(units(FlacFramer(AMR), bytes(info) + picture + flac_frame(0), 4_096)) == [flac_frame(0)]


def test_a_flac_stream_joined_in_its_middle_needs_no_header() -> None:
    decoder = open_decoder(AudioFormat(encoding=Encoding.FLAC))
    assert len(decoded_by(decoder, b"".join(flac_frame(number) for number in range(3, 6)))) == 3 * 4_096 * 2
