"""Identifiers are found whatever bytes stand around them."""

from __future__ import annotations

import pytest

from pipeline_lib.io.identifier import as_text, carried_by


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".gif", ".html"])
def test_an_identifier_is_found_whatever_follows(tmp_path, suffix):
    file = tmp_path / f"file{suffix}"
    for following in range(256):
        file.write_bytes(b"\x89" + as_text("0af" * 21 + "9").encode() + bytes([following, 0]))
        assert carried_by(file) == "0af" * 21 + "9", following


def test_other_files_and_files_without_one_carry_none(tmp_path):
    for name, text in (("a.png", "nothing"), ("a.txt", as_text("a" * 64)), ("b.pdf", as_text("a" * 63))):
        (tmp_path / name).write_text(text)
        assert carried_by(tmp_path / name) is None
