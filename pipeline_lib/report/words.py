"""The result in sentences, written from the leaderboard's numbers and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from markupsafe import Markup

from pipeline_lib.config.experiment import DateRange
from pipeline_lib.report.board import Board, Cell
from pipeline_lib.report.context import Competitor, MetricInfo, ReportContext
from pipeline_lib.report.numbers import in_text, show

FEW_BLOCKS = 5.0
"""With fewer independent blocks of dates an interval is an order of magnitude, see ``pipeline_lib.score.bootstrap``."""
_NAMED = 4
"""Competitors named one by one; of more, the others are summed up."""
_COMPARED = {
    "yes": (
        "was obtained on the same data with the same protocol and compares with ours",
        "were obtained on the same data with the same protocol and compare with ours",
    ),
    "no": (
        "comes from other data or another protocol and must not be compared with ours",
        "come from other data or another protocol and must not be compared with ours",
    ),
}
"""What is said of published values by the table's column ``comparable``: of one, of several."""
_ACCURACY, _EMPTY_MAP = "accuracy", "accuracy_all_background"


def number(cell: Cell, column: str, unit: str) -> Markup:
    """Return a number of the table for the page: rounded to read, with the table's own digits in the element.

    A word in the number's place (``undefined``, ``invalid``) stays a word.
    """
    text = cell.text[column]
    value = cell.number(column)
    shown = text if math.isnan(value) and text else show(value, unit)
    return Markup('<data value="{}" data-cell="{}/{}/{}">{}</data>').format(
        text, cell.model, cell.metric, column, shown
    )


def number_with_interval(
    cell: Cell, unit: str, columns: tuple[str, str, str] = ("value", "ci_low", "ci_high")
) -> Markup:
    """Return a value with its interval in brackets, if it has one."""
    value, low, high = (number(cell, column, unit) for column in columns)
    if math.isnan(cell.number(columns[1])):
        return value
    return Markup('{} <span class="ci">[{}, {}]</span>').format(value, low, high)


def result_sentences(context: ReportContext) -> list[Markup]:
    """Return the paragraph that opens the page, one sentence after the other."""
    metric = context.main_metric
    if metric is None or not context.valid:
        sentences = [Markup("No competitor has a valid score yet, so there is no result to state.")]
    else:
        info = context.metrics[metric]
        sentences = [
            *_values(context, metric, info),
            *_ties(context, metric, info),
            *_trained_once(context),
            *_published(context, metric, info),
            *_accuracy(context),
            *_blocks(context.board),
        ]
    return [*sentences, *_invalid(context), *(Markup("{}.").format(note) for note in context.notes)]


def _values(context: ReportContext, metric: str, info: MetricInfo) -> list[Markup]:
    found = [(c, context.board.cell(c.name, metric)) for c in context.valid]
    named = len(found) if len(found) == _NAMED + 1 else _NAMED  # one alone has no range
    leading, rest = found[:named], found[named:]
    parts = [
        Markup("<strong>{}</strong> {}{}{}").format(
            c.title,
            "" if i else "reaches ",
            number_with_interval(cell, info.unit),
            "" if i else f" in {in_text(info.title)}",
        )
        for i, (c, cell) in enumerate(leading)
        if cell is not None
    ]
    first = leading[0][1]
    count = int(first.text["n"] or 0) if first is not None else 0
    word = dates_word(context.board.content)
    sentence = Markup("On {:,} {} that no model was trained on, {}").format(
        count, word.removesuffix("s") if count == 1 else word, Markup("; ").join(parts)
    )
    sentence += _rest(rest, info.unit)
    seeds = sorted({int(cell.text["seed_count"] or 0) for _, cell in found if cell is not None} - {0, 1})
    if seeds:
        sentence += Markup(" (models with randomness: mean over {} seeds)").format(" or ".join(map(str, seeds)))
    return [sentence + Markup(".")]


def _rest(rest: Sequence[tuple[Competitor, Cell | None]], unit: str) -> Markup:
    """Return the range of the values that are not named one by one, and who has none."""
    found = [(c.title, cell, cell.number("value")) for c, cell in rest if cell is not None]
    defined = sorted((entry for entry in found if not math.isnan(entry[2])), key=lambda entry: entry[2])
    undefined = [title for title, _, value in found if math.isnan(value)]
    words = Markup("")
    if len(defined) == 1:
        words += Markup("; <strong>{}</strong> {}").format(defined[0][0], number_with_interval(defined[0][1], unit))
    elif defined:
        low, high = (number(cell, "value", unit) for _, cell, _ in (defined[0], defined[-1]))
        words += Markup("; the other {} lie between {} and {}").format(len(defined), low, high)
    return words + Markup("; it is undefined for {}").format(_listed(undefined)) if undefined else words


def _ties(context: ReportContext, metric: str, info: MetricInfo) -> list[Markup]:
    titles = context.titles()
    tied = [titles[name] for name in context.board.tied(metric) if name in titles]
    if tied:
        names = _listed(tied)
        leader = context.board.cell(context.valid[0].name, metric)
        if leader is None or math.isnan(leader.interval[0]):
            few = Markup("{} are not ranked: there are too few {} for an interval.")
            return [few.format(names, dates_word(context.board.content))]
        return [Markup("{} tie: the interval of their difference in {} holds zero.").format(names, in_text(info.title))]
    ranked = [c for c in context.valid if context.board.rank(c.name, metric) is not None]
    if len(ranked) < 2:
        return []
    return [Markup("The lead of {} over every other model is larger than its uncertainty.").format(ranked[0].title)]


def _trained_once(context: ReportContext) -> list[Markup]:
    """Say which intervals are over dates alone; fits without epochs begin from no random values."""
    once = [c for c in context.valid if len(c.runs) == 1 and c.runs[0].history is not None]
    if not once:
        return []
    names = _listed([c.title for c in once]) if len(once) <= _NAMED else Markup("{} models").format(len(once))
    told = Markup("{} {} trained with one seed: intervals and ranks do not tell what another would change.")
    return [told.format(names, "was" if len(once) == 1 else "were")]


def _published(context: ReportContext, metric: str, info: MetricInfo) -> list[Markup]:
    sentences = []
    for comparable, words in _COMPARED.items():
        found = [(c, cell) for c, cell in _with_published(context, metric) if cell.text["comparable"] == comparable]
        values = [
            Markup("{} of {}").format(number(cell, "published", info.unit), c.title) for c, cell in found[:_NAMED]
        ]
        if values:
            known = Markup("The published {}, {}, {}.")
            sentences.append(known.format(in_text(info.title), _listed(values), words[len(values) > 1]))
    return sentences


def _with_published(context: ReportContext, metric: str) -> list[tuple[Competitor, Cell]]:
    found = [(c, context.board.cell(c.name, metric)) for c in context.valid]
    return [(c, cell) for c, cell in found if cell is not None and not math.isnan(cell.number("published"))]


def _accuracy(context: ReportContext) -> list[Markup]:
    if not {_ACCURACY, _EMPTY_MAP} <= set(context.board.metrics):
        return []
    leader = context.valid[0]
    ours, empty = context.board.cell(leader.name, _ACCURACY), context.board.cell(leader.name, _EMPTY_MAP)
    if ours is None or empty is None or math.isnan(empty.value):
        return []
    return [
        Markup("A map without any eddy would already have accuracy {}, so the {} of {} says little by itself.").format(
            number(empty, "value", "1"), number(ours, "value", "1"), leader.title
        )
    ]


def _blocks(board: Board) -> list[Markup]:
    blocks = board.content.get("blocks")
    if not isinstance(blocks, int | float) or blocks >= FEW_BLOCKS:
        return []
    dates = dates_word(board.content)
    words = Markup("Neighbouring {} look alike: those of the test hold only about {} independent blocks").format(
        dates, f"{blocks:.2g}"
    )
    return [words + Markup(", so read the intervals as orders of magnitude.")]


def _invalid(context: ReportContext) -> list[Markup]:
    return [
        Markup("<strong>{}</strong> is invalid and has no score: {}.").format(c.title, c.reason.rstrip("."))
        for c in context.competitors
        if c.reason
    ]


def _listed(names: Sequence[str]) -> Markup:
    """Join words as a sentence does; what is no Markup yet is escaped."""
    if len(names) < 2:
        return Markup("").join(names)
    return Markup("{} and {}").format(Markup(", ").join(names[:-1]), names[-1])


def dates_word(content: Mapping[str, object]) -> str:
    """Return what the scored dates of a leaderboard are: ``days``, or ``times`` where a day has several."""
    dates, count = content.get("dates"), content.get("date_count")
    if not isinstance(dates, list) or len(dates) != 2 or not isinstance(count, int):
        return "days"
    first, last = (date.fromisoformat(str(d).partition("T")[0]) for d in dates)
    return "times" if count > (last - first).days + 1 else "days"


def period_words(content: Mapping[str, object]) -> str:
    """Return the scored dates of a leaderboard as ``first to last``, empty if it does not say.

    To the minute where a day has several.
    """
    dates = content.get("dates")
    if not isinstance(dates, list) or len(dates) != 2:
        return ""
    whole = dates_word(content) == "days"
    first, last = (str(d).partition("T")[0] if whole else str(d).replace("T", " ") for d in dates)
    return f"{first} to {last}"


def range_words(days: DateRange) -> str:
    """Return days as ``first to last``, with the moments where the range begins or ends at a time of day."""
    return f"{_moment(days.first)} to {_moment(days.last)}"


def _moment(first: date) -> str:
    return f"{first:%Y-%m-%d %H:%M}" if isinstance(first, datetime) else first.isoformat()
