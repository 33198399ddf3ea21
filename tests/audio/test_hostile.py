"""Audio that means harm: bounded, or refused. `make mutations` tries 10,000 changes of each container."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from asrgateway_server.audio.encodings import open_decoder
from asrgateway_server.audio.packet_decoder import BYTES_PER_SECOND, FREE_SECONDS
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import GatewayError, UndecodableAudio
from coded_audio import ALL, coded_speech, decoded_by, format_of, pieces, seconds, steps
from containers import OPUS_TAGS, block, cluster, flac_frame, flac_info, ogg_page, opus_head, part, track, webm_header

MUTATIONS = int(os.environ.get("AUDIO_MUTATIONS", "25"))
SEED = int(os.environ.get("AUDIO_SEED", "1"))
#: Headers, and some frames.
_MUTATED_BYTES = 6_000
#: 120 ms in two bytes.
LONGEST_PACKET = bytes((3 << 3 | 3, 2))
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def name_of(encoding: Encoding) -> str:
    return encoding.name


BOMBS = {
    Encoding.FLAC: flac_info() + b"".join(flac_frame(number, samples=65_535) for number in range(20)),
    # Opus itself needs more bytes; gaps need fewer.
    Encoding.WEBM_OPUS: webm_header(track(setup=opus_head()))
    + b"".join(cluster(block(LONGEST_PACKET), ticks=9_000 * number) + b"\0" for number in range(20)),
}


@pytest.mark.parametrize("encoding", BOMBS, ids=name_of)
def test_few_bytes_may_not_be_much_audio(encoding: Encoding) -> None:
    decoder = open_decoder(AudioFormat(encoding=encoding))
    out: list[bytes] = []
    with pytest.raises(UndecodableAudio, match=f"{encoding.name} hold more than") as caught:
        out.extend(pcm for piece in pieces(BOMBS[encoding], 10_000) for pcm in steps(decoder, piece))
    assert caught.value.field == "audio"
    assert seconds(decoder, b"".join(out)) < FREE_SECONDS + len(BOMBS[encoding]) / BYTES_PER_SECOND


def test_a_gap_may_not_be_longer_than_the_audio_that_may_be() -> None:
    pages = [
        ogg_page([opus_head()], position=0, sequence=0, flags=2),
        ogg_page([OPUS_TAGS], position=0, sequence=1),
        *(ogg_page([LONGEST_PACKET], position=9 * 48_000 * number, sequence=2 * number) for number in range(1, 20)),
    ]
    with pytest.raises(UndecodableAudio, match="hold more than"):
        decoded_by(open_decoder(AudioFormat(encoding=Encoding.OGG_OPUS)), b"".join(pages))


@pytest.mark.parametrize(("rate", "samples"), [(8_000, 4_608), (44_100, 65_535)])
def test_a_minute_of_silence_in_flac_is_taken_in_blocks_of_any_size(rate: int, samples: int) -> None:
    count = 60 * rate // samples
    frames = [flac_frame(number, samples=samples, rate=rate) for number in range(count)]
    decoder = open_decoder(AudioFormat(encoding=Encoding.FLAC))
    pcm = decoded_by(decoder, flac_info(rate=rate) + b"".join(frames))
    assert len(pcm) == 2 * count * samples


DELAYED = [
    ogg_page([opus_head(skipped=65_535)], position=0, sequence=0, flags=2),
    ogg_page([OPUS_TAGS], position=0, sequence=1),
]
PADDING = part(0x75A2, (120_000_000).to_bytes(4, "big"))
PADDED = part(0xA0, part(0xA1, bytes((0x81, 0, 0, 0)) + LONGEST_PACKET) + PADDING)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (Encoding.OGG_OPUS, b"".join(DELAYED) + ogg_page([LONGEST_PACKET] * 10, position=57_600, sequence=2)),
        (Encoding.WEBM_OPUS, webm_header(track(setup=opus_head())) + cluster(*[PADDED] * 10)),
    ],
    ids=["in front", "behind"],
)
def test_what_is_decoded_and_cut_counts_as_work(encoding: Encoding, data: bytes) -> None:
    decoder = open_decoder(AudioFormat(encoding=encoding))
    assert [pcm for pcm in steps(decoder, data) if pcm] == []
    assert len(list(steps(open_decoder(AudioFormat(encoding=encoding)), data))) >= 5


@pytest.mark.parametrize("encoding", ALL, ids=name_of)
def test_mutated_audio_is_decoded_or_refused_and_keeps_no_memory(encoding: Encoding) -> None:
    data = coded_speech(encoding)[:_MUTATED_BYTES]
    chance = random.Random(SEED)
    before = 0
    for number in range(MUTATIONS):
        if number == MUTATIONS // 5:
            before = resident_bytes()
        attempt(encoding, mutated(data, chance), chance)
    assert resident_bytes() - before < 64 << 20


def attempt(encoding: Encoding, data: bytes, chance: random.Random) -> None:
    decoder = open_decoder(format_of(encoding))
    try:
        pcm = decoded_by(decoder, data, chance.choice((50, 700, 16_384)))
        decoder.verify_end()
    except GatewayError:
        return
    assert seconds(decoder, pcm) <= FREE_SECONDS + len(data) / BYTES_PER_SECOND


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with some bytes changed, left out, repeated or moved; mostly near the beginning, where headers are."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 5, 40))):
        place = chance.randrange(min(len(changed), chance.choice((64, 512, len(changed)))))
        length = chance.choice((1, 1, 1, 4, 30, 1_000))
        match chance.randrange(5):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                changed[place] ^= 1 << chance.randrange(8)
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = changed[place : place + length]
            case _:
                changed[place : place + length] = chance.randbytes(length)
        changed.extend(bytes(64 - min(64, len(changed))))
    return bytes(changed)


def resident_bytes() -> int:
    """The memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
