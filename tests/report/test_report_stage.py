"""The report on artefacts that the real stages wrote: what it says, what it must not say, and that it says it again."""

from __future__ import annotations

import csv
import re
import shutil
import socket
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.report.numbers import show
from tests.report.artefacts import CODE, TWO, Built, Competitor, build

FIGURES = ("maps", "best_and_worst", "leaderboard", "loss_curves", "scores_over_time", "confusion")
NASTY = '<script>alert("x")</script> & Söhne'


class Reader(HTMLParser):
    """Collects what the tests look at."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.data: list[dict[str, str]] = []
        self.ids: list[str] = []
        self._open: dict[str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in given.items()]
        self.ids += [given["id"]] if "id" in given else []
        if tag == "data":
            self._open = {"value": given["value"], "cell": given["data-cell"], "text": ""}
            self.data.append(self._open)

    def handle_endtag(self, tag: str) -> None:
        if tag == "data":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open["text"] += data


def text_of(page: str) -> str:
    """The page without tags, scripts and pictures, as a reader sees it."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", "", bare).split())


def section_source(page: str, name: str) -> str:
    """One section of the page as HTML."""
    return page.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def section(page: str, name: str, following: str) -> str:
    """The text of one section of the page."""
    return text_of(page[page.index(f'<section id="{name}"') : page.index(f'<section id="{following}"')])


def table_of(built: Built) -> dict[str, str]:
    """The texts of ranking and leaderboard by ``model/metric/column``."""
    texts = {}
    for name in ("ranking.csv", "leaderboard.csv"):
        with built.leaderboard.with_name(name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                texts |= {f"{row['model']}/{row['metric']}/{column}": row[column] for column in row}
    return texts


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(
        tmp_path_factory.mktemp("two"),
        (TWO[0], Competitor("other", 0.3, {"label": NASTY}, seeds=(0, 1)), TWO[1]),
        title=f"Eddies {NASTY}",
        published=["eddynet"],
    )


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("a connection was asked for")


@pytest.fixture(scope="module")
def page(built: Built) -> str:
    """The page, built where asking for a connection fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        return built.page()


def copied(built: Built, root: Path) -> Built:
    """A copy of all artefacts of an experiment below another folder."""
    old = built.output.parents[2]
    shutil.copytree(old, root, dirs_exist_ok=True)

    def moved(path: Path) -> Path:
        return root / path.relative_to(old)

    lists = {name: [moved(p) for p in getattr(built, name)] for name in ("models", "products", "labels", "datasets")}
    return replace(built, leaderboard=moved(built.leaderboard), output=moved(built.output), **lists)


def test_every_figure_lies_beside_the_page_and_in_it(built: Built, page: str):
    manifest = read_manifest(built.output, kind="report", verify="deep")
    wanted = {"report.html"} | {f"figures/{name}.{form}" for name in FIGURES for form in ("png", "pdf")}
    assert set(manifest.files) == wanted
    assert manifest.content["figures"] == list(FIGURES)
    assert [i for i in Reader(page).ids if i.startswith("figure-")] == [f"figure-{name}" for name in FIGURES]


def test_every_number_is_the_table_s(built: Built, page: str):
    table, found = table_of(built), Reader(page).data
    for number in found:
        assert number["value"] == table[number["cell"]]
        unit = "km" if "_km/" in number["cell"] else "1"
        assert number["text"] == show(float(number["value"]), unit)
        assert abs(float(number["text"].replace("−", "-")) - float(number["value"])) <= 0.005
    shown = {number["cell"] for number in found}
    wanted = ("/value", "/ci_low", "/ci_high")
    expected = {cell for cell, text in table.items() if text and cell.endswith(wanted)}
    assert expected <= shown


def test_the_first_table_tells_how_far_each_is_behind_the_first(built: Built, page: str):
    table = table_of(built)
    heading, first, *others = re.findall(r"<tr>(.*?)</tr>", section_source(page, "scores"), re.DOTALL)[:4]
    assert "Behind the first by" in heading.split("<th")[6]
    assert [text_of(found) for found in first.split("<td")[5:6]] == ['class="num" data-sort="0.000000">–']
    for row in others:
        cell = row.split("<td")[5]
        (model,) = set(re.findall(r'data-cell="(\w+)/mean_dice/behind', cell))
        shown = "{} [{}, {}]".format(
            *(show(float(table[f"{model}/mean_dice/{column}"])) for column in ("behind", "behind_low", "behind_high"))
        )
        assert text_of(cell).endswith(shown)


def test_nothing_comes_from_outside(page: str):
    assert "http:" not in page.lower()
    assert "https:" not in page.lower()
    reader = Reader(page)
    for tag, name, value in reader.attributes:
        if name in {"src", "href", "srcset", "action", "poster", "data", "xlink:href", "formaction"}:
            assert value.startswith(("data:image/png;base64,", "#")), (tag, name, value[:60])
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", page.replace("base64,", ""))
    assert "example.org/data" in text_of(page)  # an address in a citation stays readable


def test_names_are_escaped(page: str):
    reader = Reader(page)
    assert reader.tags.count("script") == 1
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(" in page
    assert "Söhne" in page


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(page: str):
    reader = Reader(page)
    assert len(set(reader.ids)) == len(reader.ids)
    for _, name, value in reader.attributes:
        if name == "href":
            assert value.removeprefix("#") in reader.ids


def test_the_result_is_told_in_words(page: str):
    result = section(page, "result", "figures")
    assert result.startswith("Result On 6 days that no model was trained on, EddyNet reaches 0.9")
    assert "mean over 2 seeds" in result
    assert "must not be compared with ours" in result
    assert "A map without any eddy would already have accuracy" in result


def test_published_rows_stand_beside_ours_with_the_reason(page: str):
    words = section(page, "published", "models")
    assert "Our numbers must not be compared with these" in words
    assert "another region (Mediterranean, not south-west Atlantic)" in words
    assert "88.60 % (0.10)" in words
    rows = re.findall(r'<tr class="ours"><th scope="row">([^<]*)</th>', page)
    assert rows == ["EddyNet, here"]


def test_the_chain_leads_from_raw_files_to_the_page(built: Built, page: str):
    words = section(page, "data", "reproduce")
    raw = read_manifest(built.datasets[0].parents[1] / "raw" / "2005-06.json")
    assert raw.files["maps.nc"].sha256 in words
    for path in (built.leaderboard, *built.models, *built.products, *built.labels, *built.datasets):
        assert read_manifest(path).identity[:12] in words
    assert "CC0-1.0" in words
    assert str(built.output.parent) not in page


def test_the_same_inputs_give_the_same_bytes(built: Built, page: str):
    before = read_manifest(built.output)
    assert built.report().files == before.files


def test_without_any_score_the_page_says_so(tmp_path: Path):
    artefacts = build(tmp_path, ())
    page = artefacts.page()
    assert "No competitor has a valid score yet" in text_of(page)
    assert Reader(page).tags.count("img") == len(FIGURES)
    assert 'id="published"' not in page


def test_an_invalid_competitor_is_shown_with_its_reason_and_no_number(tmp_path: Path):
    artefacts = build(tmp_path, (TWO[0], Competitor("holed", 0.0, {"label": "Holed"}, hole=True)))
    page = artefacts.page()
    words = text_of(page)
    assert "Holed is invalid and has no score" in words
    assert "values inside the mask are missing" in words
    assert not [number for number in Reader(page).data if number["cell"].startswith("holed/")]


def test_thirty_models_fit(tmp_path: Path):
    many = [Competitor(f"model_{i:02}", 0.01 * i, {"label": f"Model {i:02}"}, trained=i % 10 == 0) for i in range(30)]
    few = {
        "metrics": ["mean_dice", "accuracy"],
        "patches": {"sets": 0},
        "intervals": {"block_days": 1, "resamples": 200},
    }
    artefacts = build(tmp_path, many, days=4, shape=(12, 20), scoring=few)
    page = artefacts.page()
    words = text_of(page)
    assert all(f"Model {i:02}" in words for i in range(30))
    assert "the other 24 lie between" in words
    assert "it is undefined for Model 00 and Model 01." in words
    header = (artefacts.output.parent / "figures" / "leaderboard.png").read_bytes()[:24]
    assert int.from_bytes(header[20:24], "big") > 1200  # a row of a fifth of an inch for each


def test_changed_inputs_are_named(built: Built, tmp_path: Path):
    raw = tmp_path / "data" / "med-adt-2005q2" / "raw" / "2005-06.json"
    moved = copied(built, tmp_path)
    with Artefact(raw, kind="raw", code=CODE) as out:
        out.payload("maps.nc").write_bytes(b"issued again")
    assert "has changed since it was used as" in text_of(moved.page())


@pytest.mark.parametrize(
    ("pattern", "by", "problem"), [("^model,", "name,", "no column 'model'"), (r"0\.9\d+", "many", "'many'")]
)
def test_a_damaged_leaderboard_is_refused_with_one_line(
    built: Built, tmp_path: Path, pattern: str, by: str, problem: str
):
    moved = copied(built, tmp_path)
    text = moved.leaderboard.with_suffix(".csv").read_text()
    with Artefact(moved.leaderboard, kind="leaderboard", code=CODE) as out:
        out.payload("leaderboard.csv").write_text(re.sub(pattern, by, text, count=1))
    with pytest.raises(StoreError, match=problem):
        moved.report()


def test_an_artefact_outside_a_run_s_folder_is_refused(built: Built, tmp_path: Path):
    stray = tmp_path / "stray" / "model.json"
    shutil.copytree(built.models[0].parent, stray.parent)
    with pytest.raises(StoreError, match="does not lie in a folder"):
        built.report(models=[stray])


def test_an_earlier_report_survives_a_full_disk(
    built: Built, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    moved = copied(built, tmp_path)
    before = read_manifest(moved.output, kind="report", verify="deep")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline_lib.report.stage.save_figure", fail)
    with pytest.raises(StoreError, match="No space left"):
        moved.report()
    assert read_manifest(moved.output, kind="report", verify="deep").files == before.files
