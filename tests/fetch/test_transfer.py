"""Progress where a person looks and where only a log is read."""

from __future__ import annotations

import io
import sys

import pytest

from pipeline_lib.fetch.transfer import transfer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [2_000_000, None])
def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with transfer("[odd] name.nc", total=total, done=1_000_000) as advance:
        advance(1_000_000)
    assert "[odd] name.nc" in terminal.getvalue()
    assert "2.0" in terminal.getvalue()


def test_nothing_but_the_log_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    with transfer("a.nc", total=10) as advance:
        advance(10)
    assert quiet.getvalue() == ""
