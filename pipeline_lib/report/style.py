"""How all figures look, and how they are saved so that equal data give equal bytes.

Colours are safe for the common forms of colour blindness (Okabe and Ito, 2008, "Color Universal Design") and differ
in lightness too, so that figures survive a grey print.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from pipeline_lib.io.identifier import as_text

INK = "#1d2430"
MUTED = "#5c6675"
RULE = "#d5d9e0"
LAND = "#e9e6df"
COAST = "#6f6a5f"
SEA = "#edf2f6"
"""Sea without an eddy."""
PAPER = "#ffffff"

ANTICYCLONIC = "#d55e00"
CYCLONIC = "#0072b2"
CLASS_COLOURS = {0: SEA, 1: ANTICYCLONIC, 2: CYCLONIC}
"""Warm for anticyclones, cool for cyclones."""

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6a4c93", "#7a7a7a", "#7a3b10", "#a3b30f")
_DASHES = ("-", "--", ":", "-.")
"""Colours of models, in the order of the leaderboard; later ones repeat."""

WIDTH = 7.2
"""Width of a figure in inches: two columns of a journal (183 mm)."""
LETTERS = 84
"""Letters of a title that the width of a figure has room for."""
DECADES = 30.0
"""Positive values whose largest is so many times the smallest are drawn on a logarithmic axis."""
DPI = 200
"""Resolution of PNG files and of rasterised parts of PDF files."""

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib: the same letters on every machine
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.labelsize": 7.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.2,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "savefig.dpi": DPI,
    "pdf.fonttype": 42,  # letters stay letters, which journals ask for
    "pdf.compression": 9,
    "svg.hashsalt": "gyre",  # element names from content, not from chance
    "path.simplify": True,
}


@contextmanager
def journal_style() -> Iterator[None]:
    """Draw with this project's style; the settings of a user's own matplotlibrc play no part."""
    with mpl.rc_context():
        mpl.rcdefaults()
        settings: Any = mpl.rcParams  # its stubs want the keys as literals
        settings.update(_RC)
        yield


_GIF_COLOURS = 256
_FRAME_MILLISECONDS = 250
_LAST_MILLISECONDS = 1200


def new_figure(height: float) -> Figure:
    """Return an empty figure of :data:`WIDTH` by ``height`` inches that no window system knows."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def lines_of(words: str, letters: int) -> list[str]:
    """Break a text between its words into lines of so many letters, or more where a single word has them."""
    return textwrap.wrap(words, letters, break_long_words=False, break_on_hyphens=False)


def wrapped(words: str, *, beside: int) -> str:
    """Break a title into lines, so that as many as ``beside`` of them have room beside each other."""
    return "\n".join(lines_of(words, LETTERS // beside - 2))


def message_figure(text: str) -> Figure:
    """Return a small figure that says why there is nothing to draw."""
    figure = new_figure(1.2)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, wrap=True)
    return figure


def anomaly_colours() -> Colormap:
    """Return the colours of a height anomaly: cmocean's balance, without its near-black ends."""
    logging.getLogger("matplotlib.colormaps").setLevel(logging.WARNING)
    from cmocean import cm

    kept = np.linspace(0.08, 0.92, 256)
    return LinearSegmentedColormap.from_list("balance_soft", cm.balance(kept))


def frame_colours() -> Colormap:
    """Return the colours of echoes and rain, light where there is none: cmocean's rain."""
    logging.getLogger("matplotlib.colormaps").setLevel(logging.WARNING)
    from cmocean import cm

    colours: Colormap = cm.rain
    return colours


def series_colours(count: int) -> list[str]:
    """Return ``count`` colours for series; they repeat after the tenth."""
    return [SERIES[i % len(SERIES)] for i in range(count)]


def series_dashes(count: int) -> list[str]:
    """Return ``count`` kinds of lines, of which each goes through all colours."""
    return [_DASHES[i // len(SERIES) % len(_DASHES)] for i in range(count)]


def save_figure(figure: Figure, folder: Path, name: str, *, identifier: str) -> tuple[Path, Path]:
    """Write a figure as PNG and PDF, with the identifier it carries, without date, version or traces of the run.

    Returns
    -------
    tuple of pathlib.Path
        The PNG and the PDF file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, pdf = folder / f"{name}.png", folder / f"{name}.pdf"
    with journal_style():
        figure.savefig(png, format="png", metadata={"Software": None, "Source": as_text(identifier)})
        figure.set_layout_engine("none")  # the PDF keeps the layout that was found for the PNG
        untraced = {"Creator": None, "Producer": None, "CreationDate": None}
        figure.savefig(pdf, format="pdf", metadata={**untraced, "Keywords": as_text(identifier)})
    return png, pdf


def save_animation(frames: Sequence[Figure], folder: Path, name: str, *, identifier: str) -> Path:
    """Write drawings of one size as an endless GIF that carries an identifier; the last of them stays longer."""
    pictures = []
    with journal_style():
        for figure in frames:
            with BytesIO() as png:
                figure.savefig(png, format="png")
                pictures.append(Image.open(png).convert("RGB"))
    # One palette for all frames: colours of their own would flicker.
    palette = Image.new("RGB", (pictures[0].width, pictures[0].height * len(pictures)))
    for number, picture in enumerate(pictures):
        palette.paste(picture, (0, number * picture.height))
    shared = palette.quantize(_GIF_COLOURS)
    still = [picture.quantize(palette=shared, dither=Image.Dither.NONE) for picture in pictures]
    gif = folder / f"{name}.gif"
    pauses = [_FRAME_MILLISECONDS] * (len(still) - 1) + [_LAST_MILLISECONDS]
    still[0].save(
        gif, save_all=True, append_images=still[1:], duration=pauses, loop=0, comment=as_text(identifier).encode()
    )
    return gif


def panel_grid(figure: Figure, rows: int, columns: int, **options: Any) -> Sequence[Any]:  # noqa: ANN401 - subplots'
    """Return the axes of a grid of panels as a flat list, row by row."""
    return list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def octaves(axis: Axes) -> None:
    """Make the horizontal axis logarithmic, marked at powers of two: a box may have fewer scales than a decade."""
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
