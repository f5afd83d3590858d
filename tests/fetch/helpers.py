"""A web server that misbehaves on request, small netCDF files, and catalogs with one entry."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import xarray as xr
import yaml

from pipeline_lib.catalog import Catalog, Source


@dataclass
class Page:
    """A file on the site and how the next requests for it go: one step each, then as it should."""

    body: bytes
    steps: list[Callable[[Handler, Page], None]] = field(default_factory=list)
    ranges: bool = True
    etag: bool = True
    length: bool = True
    head: bool = True
    """Whether the server answers HEAD."""


class Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        page = self.server.pages.get(unquote(self.path))
        if self.server.unavailable or page is None or not page.head:
            self.send_error(503 if self.server.unavailable else 404 if page is None else 501)
            return
        head(self, page)

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        page = self.server.pages.get(unquote(self.path))
        if self.server.unavailable or page is None:
            self.send_error(503 if self.server.unavailable else 404)
            return
        step = page.steps.pop(0) if page.steps else send
        step(self, page)


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.unavailable = False
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def head(handler: Handler, page: Page) -> bytes:
    """Send status and headers; return the body that they announce."""
    tag = f'"{hashlib.md5(page.body).hexdigest()}"'  # noqa: S324 - an entity tag
    wanted = handler.headers.get("Range")
    guard = handler.headers.get("If-Range")
    body, status = page.body, 200
    if wanted and page.ranges and (guard is None or (page.etag and guard == tag)):
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(page.body):
            handler.send_error(416)
            return b""
        body, status = page.body[start:], 206
    handler.send_response(status)
    if status == 206:
        first = len(page.body) - len(body)
        handler.send_header("Content-Range", f"bytes {first}-{len(page.body) - 1}/{len(page.body)}")
    if page.etag:
        handler.send_header("ETag", tag)
    if page.length:
        handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Content-Type", "application/x-netcdf")
    handler.end_headers()
    return body


def send(handler: Handler, page: Page) -> None:
    handler.wfile.write(head(handler, page))


def cut(share: float) -> Callable[[Handler, Page], None]:
    """Break the connection after a share of what was announced."""

    def step(handler: Handler, page: Page) -> None:
        body = head(handler, page)
        handler.wfile.write(body[: int(len(body) * share)])
        handler.close_connection = True

    return step


def status(code: int, **headers: str) -> Callable[[Handler, Page], None]:
    def step(handler: Handler, page: Page) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return step


def stall(share: float, seconds: float) -> Callable[[Handler, Page], None]:
    """Send a share, then nothing for a while."""

    def step(handler: Handler, page: Page) -> None:
        body = head(handler, page)
        handler.wfile.write(body[: int(len(body) * share)])
        handler.wfile.flush()
        time.sleep(seconds)
        handler.close_connection = True

    return step


def drip(blocks: int, seconds: float) -> Callable[[Handler, Page], None]:
    """Send everything, slowly."""

    def step(handler: Handler, page: Page) -> None:
        body = head(handler, page)
        size = -(-len(body) // blocks)
        for start in range(0, len(body), size):
            handler.wfile.write(body[start : start + size])
            time.sleep(seconds)

    return step


def html(handler: Handler, page: Page) -> None:
    """An error page that claims to be all right."""
    body = b"<!DOCTYPE html><html><title>Maintenance</title></html>"
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html; charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def netcdf(path: Path, *, seed: int = 0, days: int = 3, variable: str = "adt") -> bytes:
    """Write a small netCDF-4 file and return its bytes; noise, so that it does not compress."""
    values = np.random.default_rng(seed).normal(size=(days, 60, 80))
    times = np.datetime64("2005-04-01") + np.arange(days)
    ds = xr.Dataset(
        {variable: (("time", "latitude", "longitude"), values, {"units": "m"})},
        {
            "time": times.astype("datetime64[ns]"),
            "latitude": ("latitude", np.linspace(30, 45, 60), {"units": "degrees_north"}),
            "longitude": ("longitude", np.linspace(-5, 15, 80), {"units": "degrees_east"}),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.to_netcdf(path, engine="h5netcdf")
    return path.read_bytes()


def entry(
    fetch: dict[str, Any], *, name: str = "src", parts: str = "whole", form: str = "maps", **time: str
) -> dict[str, Any]:
    """Return one catalog entry as plain values."""
    return {
        "description": "a source",
        "driver": "netcdf",
        "args": {
            "urlpath": f"{{{{ data_dir }}}}/{name}/raw/*.nc",
            "chunks": {},
            "path_as_pattern": False,
            "xarray_kwargs": {"engine": "h5netcdf", "combine": "by_coords"},
        },
        "metadata": {
            "gyre": {
                "citation": "Nobody (2005)",
                "licence": "CC0",
                "homepage": "https://example.org",
                "variables": {"adt": {"name": "adt", "units": "m"}},
                "time": {"start": "2005-04-01", "end": "2005-06-30"} | time,
                "parts": parts,
                "form": form,
                "fetch": fetch,
                "preparation": {"name": "gridded_ssh"},
            }
        },
    }


def write_catalog(folder: Path, **entries: dict[str, Any]) -> Path:
    """Write a catalog file with the given entries (underscores of the names become hyphens)."""
    parameters = {"data_dir": {"description": "", "type": "str", "default": str(folder / "data")}}
    raw = {
        "metadata": {"version": 1, "parameters": parameters},
        "sources": {name.replace("_", "-"): value for name, value in entries.items()},
    }
    file = folder / "catalog.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(raw, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


def source_of(folder: Path, fetch: dict[str, Any], **keywords: Any) -> Source:
    """Return the source of a catalog with one entry."""
    return Catalog.load(write_catalog(folder, src=entry(fetch, **keywords))).source("src")
