"""Speech in every encoding through a real gateway, on its embedded recogniser."""

from __future__ import annotations

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.config import Encoding
from calls import Outcome, Stub, config, in_messages, recognize
from coded_audio import ALL, coded_speech, format_of
from coded_speech import pcm as speech

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = "the boy was there when the sun rose"


def name_of(encoding: Encoding) -> str:
    return encoding.name


#: The embedded recogniser understands little of any speech at 8 kHz, and FFmpeg decodes Speex a little dully.
DULL = [Encoding.AMR, Encoding.OGG_SPEEX]
CLEAR = [encoding for encoding in ALL if encoding not in DULL]


@pytest.fixture(scope="module")
def outcomes() -> dict[Encoding, Outcome]:
    """What came of each encoding in small messages; filled by the first test that asks."""
    return {}


async def in_small_messages(outcomes: dict[Encoding, Outcome], stub: Stub, encoding: Encoding) -> Outcome:
    if encoding not in outcomes:
        outcomes[encoding] = await recognized(stub, encoding, 700)
    return outcomes[encoding]


async def recognized(stub: Stub, encoding: Encoding, size: int) -> Outcome:
    declared = pb.DecodingConfig(
        encoding=pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding.name}"),
        sample_rate_hertz=format_of(encoding).sample_rate_hertz,
    )
    return await recognize(stub, [config(decoding_config=declared), *in_messages(coded_speech(encoding), size)])


@pytest.mark.parametrize("encoding", CLEAR, ids=name_of)
async def test_the_words_survive_the_coder(stub: Stub, outcomes: dict[Encoding, Outcome], encoding: Encoding) -> None:
    outcome = await in_small_messages(outcomes, stub, encoding)
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [WORDS])


@pytest.mark.parametrize("encoding", [Encoding.FLAC, Encoding.WEBM_OPUS], ids=name_of)
async def test_the_words_survive_in_one_large_message(stub: Stub, encoding: Encoding) -> None:
    outcome = await recognized(stub, encoding, 1 << 20)
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [WORDS])


@pytest.mark.parametrize("encoding", DULL, ids=name_of)
async def test_most_words_survive_a_dull_coder(
    stub: Stub, outcomes: dict[Encoding, Outcome], encoding: Encoding
) -> None:
    (text,) = (await in_small_messages(outcomes, stub, encoding)).texts
    assert len(set(WORDS.split()) & set(text.split())) >= 5, text


@pytest.mark.parametrize("encoding", ALL, ids=name_of)
async def test_the_client_is_told_how_long_its_audio_was(
    stub: Stub, outcomes: dict[Encoding, Outcome], encoding: Encoding
) -> None:
    outcome = await in_small_messages(outcomes, stub, encoding)
    assert outcome.finished.audio_duration.ToMilliseconds() == pytest.approx(len(speech()) / 32, abs=70)
