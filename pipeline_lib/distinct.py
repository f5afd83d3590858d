"""Lists whose entries are to differ, as annotations of options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from typing import TypeVar

from pydantic import AfterValidator

Many = TypeVar("Many", bound=Collection[Hashable])


def refuse_twice(values: Many | None) -> Many | None:
    """Return the values; raise ``ValueError`` if one is listed twice: names and numbers that choose do so once."""
    twice = [value for value, times in Counter(values or ()).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is listed twice")
    return values


DIFFERENT = AfterValidator(refuse_twice)
"""``Annotated[list[str], DIFFERENT]`` is a list that names nothing twice."""
