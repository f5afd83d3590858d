"""Pages from templates: one HTML file each, strict about names and with all values escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2


def render(template: Path, *, filters: Mapping[str, Callable[..., str]] | None = None, **values: Any) -> str:  # noqa: ANN401
    """Return a template filled in.

    Parameters
    ----------
    template
        The template's file.
    filters
        Filters that it uses beside those of Jinja.
    values
        What it shows. A name that the template asks for and that is missing here is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template.name).render(**values)
