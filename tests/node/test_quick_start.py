import pytest

from node.quick_start import is_nearly

TEXT = "the boy was there when the sun rose"


@pytest.mark.parametrize("text", [TEXT, "the boy was there when the sun", "the boy was there and when the sun rose"])
def test_a_word_more_or_less_is_nearly_the_same(text: str) -> None:
    assert is_nearly(text, TEXT)


@pytest.mark.parametrize("text", ["", "usage: asr-client", "the sun rose when there was the boy"])
def test_anything_else_is_not(text: str) -> None:
    assert not is_nearly(text, TEXT)
