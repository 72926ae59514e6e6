"""The landing is written once, and nothing leaves its folder."""

import pytest
from kinhteso.landing import Landing, LandingConflict, safe_name


def test_the_same_bytes_again_are_nothing_new_others_are_refused(tmp_path):
    landing = Landing(tmp_path)
    first = landing.put("a/b.txt", b"one")
    assert landing.put("a/b.txt", b"one") == first
    with pytest.raises(LandingConflict, match="never changed"):
        landing.put("a/b.txt", b"two")
    assert (tmp_path / "a/b.txt").read_bytes() == b"one"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_only_scratch_is_removed(tmp_path):
    landing = Landing(tmp_path)
    landing.put("a/b.txt", b"one")
    with pytest.raises(LandingConflict):
        landing.forget("a/b.txt")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "a\\b", "a\0b"])
def test_names_stay_in_their_folder(name):
    with pytest.raises(ValueError, match="plain file name"):
        safe_name(name)
