import pytest

from node.missing import NotHere, check_places


def test_a_cache_in_a_folder_that_the_nodes_hide_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/tmp/cache")  # noqa: S108 nothing is written there
    with pytest.raises(NotHere, match="lies below /var/tmp"):
        check_places()
