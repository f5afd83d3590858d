"""Figures come out byte for byte, whoever draws them and when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.io.identifier import as_text
from pipeline_lib.report.context import coloured

ROOT = Path(__file__).parents[2]
DRAW = """
import sys
from pathlib import Path
import numpy as np
import xarray as xr
from pipeline_lib.report.figures.maps import draw_classes, draw_field
from pipeline_lib.report.style import CLASS_COLOURS, anomaly_colours, journal_style, new_figure, save_figure
x, y = np.arange(0, 10, 0.5), np.arange(35, 43, 0.5)
field = xr.DataArray(np.sin(x[None]) * np.cos(y[:, None]), {"latitude": y, "longitude": x}, ("latitude", "longitude"))
with journal_style():
    figure = new_figure(2.5)
    left, right = figure.subplots(1, 2)
    figure.colorbar(draw_field(left, field, colours=anomaly_colours()), ax=left)
    draw_classes(right, np.abs(np.sign(np.round(field))), CLASS_COLOURS)
    left.set_title("Höhe, 10⁻² m")
    save_figure(figure, Path(sys.argv[1]), "map", identifier="0" * 64)
"""


def draw(folder: Path, **environment: str) -> dict[str, bytes]:
    folder.mkdir(parents=True)
    changed = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    subprocess.run([sys.executable, "-c", DRAW, str(folder)], check=True, cwd=folder, env=changed)
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix in {".png", ".pdf"}}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return draw(tmp_path_factory.mktemp("drawn") / "first")


def test_another_process_with_other_settings_draws_the_same_bytes(tmp_path: Path, drawn: dict[str, bytes]):
    settings = tmp_path / "matplotlibrc"
    settings.write_text("font.size: 20\nfigure.facecolor: red\nsavefig.dpi: 33\n")
    again = draw(tmp_path / "again", MATPLOTLIBRC=str(settings), PYTHONHASHSEED="7", TZ="Asia/Tokyo", LANG="C")
    assert sorted(drawn) == ["map.pdf", "map.png"]
    assert again == drawn


def test_files_hold_no_trace_of_when_and_with_what(drawn: dict[str, bytes]):
    png, pdf = drawn["map.png"], drawn["map.pdf"]
    chunks, place = [], 8
    while place < len(png):
        size = int.from_bytes(png[place : place + 4], "big")
        chunks.append(png[place + 4 : place + 8])
        place += 12 + size
    assert set(chunks) <= {b"IHDR", b"pHYs", b"tEXt", b"IDAT", b"IEND"}
    assert chunks.count(b"tEXt") == 1
    assert as_text("0" * 64).encode() in png  # the one text is the identifier
    assert as_text("0" * 64).encode() in pdf
    for word in (b"CreationDate", b"ModDate", b"Producer", b"Creator", str(ROOT).encode()):
        assert word not in pdf


def test_class_colours_differ_for_colour_blind_readers():
    from pipeline_lib.report.style import CLASS_COLOURS

    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    def protanope(colour: str) -> np.ndarray:
        """Viénot, Brettel and Mollon (1999): what an eye without long-wave cones sees, in linear RGB."""
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2
        to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
        lms = to_lms @ rgb
        lms[0] = 2.02344 * lms[1] - 2.52581 * lms[2]
        return np.linalg.solve(to_lms, lms)

    warm, cool = CLASS_COLOURS[1], CLASS_COLOURS[2]
    assert np.abs(protanope(warm) - protanope(cool)).max() > 0.2
    assert lightness(warm) > 1.4 * lightness(cool)
    assert int(warm[1:3], 16) > int(warm[5:7], 16)
    assert int(cool[1:3], 16) < int(cool[5:7], 16)


def test_lines_of_one_colour_are_of_another_kind():
    names = [f"model {i}" for i in range(25)]
    looks = coloured(names)
    assert list(looks) == names
    assert len(set(looks.values())) == 25
    assert {dash for _, dash in list(looks.values())[:10]} == {"-"}
