"""Downloads from a real server that breaks, refuses, lies and dawdles."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import FetchError
from pipeline_lib.fetch.base import WantedFile
from pipeline_lib.fetch.download import Patience, download
from tests.fetch.helpers import Handler, Page, Site, cut, drip, html, sha256, stall, status

BODY = np.random.default_rng(0).bytes(500_000)
QUICK = Patience(attempts=3, timeout_s=5.0, wait_s=0.0)


def wanted(site: Site, body: bytes = BODY, *, name: str = "a.nc", pinned: bool = True) -> WantedFile:
    return WantedFile(name=name, address=f"{site.url}/{name}", sha256=sha256(body) if pinned else None)


def ranges(site: Site) -> list[str | None]:
    return [headers.get("Range") for _, headers in site.requests]


def test_plain(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY)
    path = download(wanted(site), tmp_path, QUICK)
    assert path == tmp_path / "a.nc"
    assert path.read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


@pytest.mark.parametrize("pinned", [True, False])
def test_a_file_is_hashed_where_the_catalog_pins_it_and_once(
    site: Site, tmp_path: Path, pinned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    sha256_of_memory = hashlib.sha256

    def counted(*given: bytes, **options: bool):
        hashed.append(given)
        return sha256_of_memory(*given, **options)

    site.pages["/a.nc"] = Page(BODY)
    asked = wanted(site, pinned=pinned)
    monkeypatch.setattr(hashlib, "sha256", counted)
    download(asked, tmp_path, QUICK)
    assert len(hashed) == pinned


@pytest.mark.parametrize("pinned", [True, False])
def test_a_cut_connection_is_resumed(site: Site, tmp_path: Path, pinned: bool) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[cut(0.6), cut(0.5)])
    path = download(wanted(site, pinned=pinned), tmp_path, QUICK)
    assert path.read_bytes() == BODY
    first, second, third = ranges(site)
    assert first is None
    # what came is kept: at most one block of 64 KiB is asked for again
    assert 300_000 - 65_536 <= int(second.removeprefix("bytes=").removesuffix("-")) <= 300_000
    assert int(third.removeprefix("bytes=").removesuffix("-")) > 300_000


def test_the_next_run_goes_on_from_what_came(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[cut(0.6), status(404)])
    with pytest.raises(FetchError, match="404"):
        download(wanted(site), tmp_path, QUICK)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc.part", "a.nc.part.etag"]
    part = (tmp_path / "a.nc.part").read_bytes()
    assert part
    assert BODY.startswith(part)
    download(wanted(site), tmp_path, QUICK)
    assert ranges(site)[-1] == f"bytes={len(part)}-"
    assert (tmp_path / "a.nc").read_bytes() == BODY


def test_a_server_without_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[cut(0.6)], ranges=False)
    assert download(wanted(site), tmp_path, QUICK).read_bytes() == BODY


@pytest.mark.parametrize("pinned", [True, False])
def test_a_file_that_changed_in_between_is_not_glued_together(site: Site, tmp_path: Path, pinned: bool) -> None:
    new = BODY[::-1]
    site.pages["/a.nc"] = Page(BODY, steps=[cut(0.6), status(404)])
    with pytest.raises(FetchError):
        download(wanted(site, pinned=False), tmp_path, QUICK)
    site.pages["/a.nc"] = Page(new)
    assert download(wanted(site, new, pinned=pinned), tmp_path, QUICK).read_bytes() == new


def test_pieces_of_two_versions_are_noticed_without_an_entity_tag(site: Site, tmp_path: Path) -> None:
    new = BODY[::-1]
    (tmp_path / "a.nc.part").write_bytes(BODY[:200_000])
    site.pages["/a.nc"] = Page(new, etag=False)
    assert download(wanted(site, new), tmp_path, QUICK).read_bytes() == new
    assert ranges(site) == ["bytes=200000-", None]


def test_without_tag_and_checksum_a_partial_file_is_not_trusted(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.nc.part").write_bytes(b"x" * 1000)
    site.pages["/a.nc"] = Page(BODY, etag=False)
    assert download(wanted(site, pinned=False), tmp_path, QUICK).read_bytes() == BODY
    assert ranges(site) == [None]


def test_a_partial_file_longer_than_the_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.nc.part").write_bytes(BODY + b"more")
    site.pages["/a.nc"] = Page(BODY, etag=False)
    assert download(wanted(site), tmp_path, QUICK).read_bytes() == BODY


def test_wrong_checksum_is_set_aside_and_told_with_both_hashes(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY[:-1] + b"?")
    with pytest.raises(FetchError) as caught:
        download(wanted(site), tmp_path, QUICK)
    assert sha256(BODY) in caught.value.line
    assert sha256(BODY[:-1] + b"?") in caught.value.line
    assert (tmp_path / "a.nc.rejected").read_bytes() == BODY[:-1] + b"?"
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc.rejected"]


def test_another_length_than_pinned_is_told_before_the_download(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY)
    with pytest.raises(FetchError, match="has 500000 bytes at the provider, the catalog says 7"):
        download(WantedFile("a.nc", f"{site.url}/a.nc", sha256(BODY), 7), tmp_path, QUICK)
    assert not (tmp_path / "a.nc.part").exists()


@pytest.mark.parametrize("pinned", [True, False])
def test_a_html_page_with_status_200_is_refused(site: Site, tmp_path: Path, pinned: bool) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[html])
    with pytest.raises(FetchError, match="HTML page"):
        download(wanted(site, pinned=pinned), tmp_path, QUICK)
    assert not (tmp_path / "a.nc").exists()


def test_an_answer_that_calls_itself_html_is_refused_whatever_it_holds(site: Site, tmp_path: Path) -> None:
    def notice(handler: Handler, page: Page) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", "11")
        handler.end_headers()
        handler.wfile.write(b"maintenance")

    site.pages["/a.nc"] = Page(BODY, steps=[notice])
    with pytest.raises(FetchError, match="answers with an HTML page"):
        download(wanted(site, pinned=False), tmp_path, QUICK)


def test_html_in_disguise_is_refused(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(b"\xef\xbb\xbf\n <HTML><body>log in</body></HTML>")
    with pytest.raises(FetchError, match="HTML page"):
        download(wanted(site, pinned=False), tmp_path, QUICK)


def test_redirects_are_followed_and_resumed(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(b"", steps=[status(302, Location="/b.nc"), status(302, Location="/b.nc")])
    site.pages["/b.nc"] = Page(BODY, steps=[cut(0.5)])
    assert download(wanted(site), tmp_path, QUICK).read_bytes() == BODY


def test_endless_redirects_end(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(b"", steps=[status(302, Location="/a.nc")] * 50)
    with pytest.raises(FetchError, match="redirects"):
        download(wanted(site), tmp_path, QUICK)


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_clear_no_is_told_at_once(site: Site, tmp_path: Path, code: int) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[status(code)])
    with pytest.raises(FetchError, match=str(code)):
        download(wanted(site), tmp_path, QUICK)
    assert len(site.requests) == 1


def test_not_now_is_tried_again(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[status(503), status(429, Retry_After="1")])
    began = time.monotonic()
    assert download(wanted(site), tmp_path, QUICK).read_bytes() == BODY
    assert time.monotonic() - began >= 1.0  # the pause that the server asked for


def test_patience_ends(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[status(503)] * 10)
    with pytest.raises(FetchError, match="answers 503; gave up after 3 attempts"):
        download(wanted(site), tmp_path, QUICK)
    assert len(site.requests) == 3


def test_slow_but_steady_is_fine(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[drip(blocks=5, seconds=0.15)])
    patience = Patience(attempts=1, timeout_s=0.5, wait_s=0.0)
    assert download(wanted(site), tmp_path, patience).read_bytes() == BODY
    assert len(site.requests) == 1


def test_a_stalled_connection_is_given_up_and_resumed(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY, steps=[stall(0.5, seconds=1.0)])
    patience = Patience(attempts=2, timeout_s=0.2, wait_s=0.0)
    assert download(wanted(site), tmp_path, patience).read_bytes() == BODY
    assert ranges(site)[1] is not None


def test_nobody_there(tmp_path: Path) -> None:
    nobody = WantedFile("a.nc", "http://127.0.0.1:9/a.nc")
    with pytest.raises(FetchError, match="refused") as caught:
        download(nobody, tmp_path, Patience(attempts=2, timeout_s=1.0, wait_s=0.0))
    assert "127.0.0.1" in caught.value.line


def test_no_such_host(tmp_path: Path) -> None:
    nowhere = WantedFile("a.nc", "http://no-such-host.invalid/a.nc")
    with pytest.raises(FetchError, match="host name is not known"):
        download(nowhere, tmp_path, Patience(attempts=1, timeout_s=2.0, wait_s=0.0))


def test_a_server_that_does_not_tell_the_length(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(BODY, length=False)
    assert download(wanted(site), tmp_path, QUICK).read_bytes() == BODY


def test_an_empty_answer_is_refused(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(b"")
    with pytest.raises(FetchError, match="is empty"):
        download(wanted(site, pinned=False), tmp_path, QUICK)


def test_progress_goes_to_the_log(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_lib.fetch.transfer._EVERY_SECONDS", 0.0)
    monkeypatch.setattr(logging.getLogger("pipeline_lib"), "propagate", True)
    site.pages["/a.nc"] = Page(BODY)
    with caplog.at_level(logging.INFO, logger="pipeline_lib"):
        download(wanted(site), tmp_path, QUICK)
    assert "a.nc: 0.5 of 0.5 MB" in caplog.text


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 400_000),
    cuts=st.lists(st.floats(0, 0.99), max_size=4),
    resumable=st.booleans(),
    etag=st.booleans(),
    pinned=st.booleans(),
)
def test_wherever_it_breaks_the_bytes_are_right(
    site: Site, size: int, cuts: list[float], resumable: bool, etag: bool, pinned: bool
) -> None:
    body = BODY[:size]
    site.pages["/a.nc"] = Page(body, steps=[cut(share) for share in cuts], ranges=resumable, etag=etag)
    with tempfile.TemporaryDirectory() as folder:
        patience = Patience(attempts=6, timeout_s=5.0, wait_s=0.0)
        assert download(wanted(site, body, pinned=pinned), Path(folder), patience).read_bytes() == body
