"""Mistakes in options become one line each, with key path and advice."""

from __future__ import annotations

import pytest
from pydantic import Field

from pipeline_lib.config.validation import validate
from pipeline_lib.errors import ConfigErrors
from pipeline_lib.options import Options


class Inner(Options):
    epochs: int = Field(1, ge=1)


class Outer(Options):
    one: Inner = Inner()
    several: list[Inner] = Field(default_factory=list)
    named: dict[str, Inner] = Field(default_factory=dict)
    maybe: Inner | None = None


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"oen": {}}, "f: oen: unknown key; did you mean 'one'?"),
        ({"one": {"epoch": 1}}, "f: one.epoch: unknown key; did you mean 'epochs'?"),
        ({"several": [{}, {"epoch": 1}]}, "f: several.1.epoch: unknown key; did you mean 'epochs'?"),
        ({"named": {"one": {"epoch": 1}}}, "f: named.one.epoch: unknown key; did you mean 'epochs'?"),
        ({"maybe": {"epoch": 1}}, "f: maybe.epoch: unknown key; did you mean 'epochs'?"),
        ({"one": {"epochs": 0}}, "f: one.epochs: input should be greater than or equal to 1 (got 0)"),
        ({"one": 3}, "f: one: input should be a valid dictionary or instance of Inner (got 3)"),
    ],
)
def test_lines(raw: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        validate(Outer, raw, where="f")
    assert caught.value.lines == [line]


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(ConfigErrors) as caught:
        validate(Outer, {"x": 1, "one": {"epochs": "many"}, "several": 3}, where="f")
    assert len(caught.value.lines) == 3


def test_valid_values_pass() -> None:
    assert validate(Outer, {"named": {"a": {"epochs": 4}}}, where="f").named["a"].epochs == 4
