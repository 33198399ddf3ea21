"""The words of the contract in what Riva's clients read."""

from __future__ import annotations

import pytest

from asrgateway_server.riva_api.fields import riva_text


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (
            "the model 'm' does not honour features.enable_word_time_offsets, and the call is strict",
            "the model 'm' does not honour config.enable_word_time_offsets, and riva_strict is set",
        ),
        (
            "the model 'm' does not honour features.enable_automatic_punctuation=false",
            "the model 'm' does not honour config.enable_automatic_punctuation=false",
        ),
        (
            "the model 'm' does not honour features.enable_inverse_text_normalization=false",
            "the model 'm' does not honour config.verbatim_transcripts=true",
        ),
        ("streaming_config.decoding_config.sample_rate_hertz is 9", "config.sample_rate_hertz is 9"),
        ("adaptation.hotwords[3] is wrong", "config.speech_contexts is wrong"),
        ("endpointing.server_vad.silence is 9", "config.endpointing_config is 9"),
        ("LINEAR16 audio has no header", "LINEAR_PCM audio has no header"),
        ("hot word 3: its weight is 9; 'm' takes 1", "phrase 3: the weight of its boost is 9; 'm' takes 1"),
        ("there are 9 hot words; 'm' takes up to 5", "there are 9 phrases; 'm' takes up to 5"),
        ("send fewer, or use channel mode MIX", "send fewer, or leave out enable_separate_recognition_per_channel"),
    ],
)
def test_the_contracts_words_are_rivas(said: str, read: str) -> None:
    assert riva_text(said) == read


@pytest.mark.parametrize("text", ["no model is called 'LINEAR16x'", "its features and endpointing end", "3 to 5 ms"])
def test_other_words_stay(text: str) -> None:
    assert riva_text(text) == text
