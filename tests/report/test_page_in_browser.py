"""The page in a real browser: a silent console, figures to be seen, tables that sort, small and dark screens."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tests.report.artefacts import TWO, Competitor, build

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here: make system installs it")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--virtual-time-budget=4000",
)  # fmt: skip


def browse(page: Path, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """What the browser writes to its output, and what it complains about on the page's console."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout, re.findall(r"CONSOLE[^\n]*", done.stderr)


def screenshot(page: Path, folder: Path, size: tuple[int, int], flags: Sequence[str] = ()) -> np.ndarray:
    file = folder / "screen.png"
    width, height = size
    _, complaints = browse(page, folder, f"--screenshot={file}", f"--window-size={width},{height}", *flags)
    assert complaints == []
    return (255 * imread(file)[..., :3]).astype(int)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    competitors = (*TWO, Competitor("third", 0.1, {"label": "Third"}), Competitor("holed", 0.1, hole=True))
    artefacts = build(tmp_path_factory.mktemp("browser"), competitors, published=["eddynet"])
    artefacts.report()
    return artefacts.output.with_suffix(".html")


def with_script(page: Path, folder: Path, script: str) -> Path:
    file = folder / "probe.html"
    file.write_text(page.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>"))
    return file


def test_the_console_is_silent_and_would_not_be_if_something_were_wrong(page: Path, tmp_path: Path):
    dom, complaints = browse(page, tmp_path, "--dump-dom")
    assert complaints == []
    assert "Figure 6." in dom
    _, complaints = browse(with_script(page, tmp_path, "nothing.there()"), tmp_path, "--dump-dom")
    assert len(complaints) == 1


def test_figures_are_seen(page: Path, tmp_path: Path):
    pixels = screenshot(page, tmp_path, (1200, 3000))
    flat = (pixels[..., 0] * 65536 + pixels[..., 1] * 256 + pixels[..., 2]).ravel()
    colours, counts = np.unique(flat, return_counts=True)
    assert colours.size > 500
    assert counts.max() / counts.sum() < 0.95
    for colour in (0xD55E00, 0x0072B2, 0xE9E6DF):  # anticyclones, cyclones, land
        assert counts[colours == colour].sum() > 500


def test_the_page_follows_the_dark_scheme(page: Path, tmp_path: Path):
    light = screenshot(page, tmp_path, (800, 300))
    dark = screenshot(page, tmp_path, (800, 300), ("--blink-settings=preferredColorScheme=0",))
    assert light[0, 0].mean() > 240
    assert dark[0, 0].mean() < 40


def test_a_narrow_screen_scrolls_tables_and_not_the_page(page: Path, tmp_path: Path):
    probe = with_script(page, tmp_path, "document.title = document.documentElement.scrollWidth + ' ' + innerWidth")
    dom, _ = browse(probe, tmp_path, "--dump-dom", "--window-size=500,900")
    found = re.search(r"<title>(\d+) (\d+)</title>", dom)
    assert found
    assert int(found[1]) <= int(found[2])


def test_a_click_sorts_and_invalid_models_stay_last(page: Path, tmp_path: Path):
    script = """
    const table = document.querySelector("table.scores"), button = table.querySelectorAll("th button")[4];
    const names = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent).join("|");
    button.click(); const up = names(); button.click(); document.title = up + " / " + names();
    """
    dom, complaints = browse(with_script(page, tmp_path, script), tmp_path, "--dump-dom")
    assert complaints == []
    found = re.search(r"<title>(.*?) / (.*?)</title>", dom)
    assert found
    up, down = (part.split("|") for part in found.groups())
    assert up[-1] == down[-1] == "EddyNet (holed)"
    assert up[:-1] == down[:-1][::-1] == ["EddyNet_S", "Third", "EddyNet"]
