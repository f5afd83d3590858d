"""The web server of the fetch tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.fetch.helpers import Site


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
