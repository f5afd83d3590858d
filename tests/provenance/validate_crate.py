"""Validate a crate with the community's validator, without a network. Runs in the environment of ``make test-crate``.

The validator asks for the context of RO-Crate 1.1 on the web. The package ``rocrate`` ships that file; here it is put
into the validator's cache, as if it had been fetched.
"""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import requests
import rocrate
from requests.adapters import BaseAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


class Shipped(BaseAdapter):
    """Answers with the context that the package ships."""

    def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:
        body = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 200, request.url, request
        answer.headers["Content-Type"] = "application/ld+json"
        answer.raw = HTTPResponse(BytesIO(body), status=200, headers=dict(answer.headers), preload_content=False)
        return answer

    def close(self) -> None:
        pass


def main(crate: str, profile: str, report: str) -> int:
    cache = Path(report).with_name("cache")
    session = CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1)
    session.mount(CONTEXT, Shipped())
    session.get(CONTEXT).raise_for_status()
    session.close()
    validator = Path(sys.executable).with_name("rocrate-validator")
    options = ["--profile-identifier", profile, "--output-format", "json", "--output-file", report, "--no-paging"]
    offline = ["--offline", "--cache-path", str(cache)]
    return subprocess.run([validator, "-y", "validate", *options, *offline, crate]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
