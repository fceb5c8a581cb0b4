from __future__ import annotations

from collections.abc import Iterator

import pytest

from clients.http import HttpClient
from tests.clients.servers import ScriptServer


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptServer]:
    with ScriptServer() as running:
        yield running


@pytest.fixture
def client(server: ScriptServer) -> Iterator[HttpClient]:
    with HttpClient(server.url) as one:
        yield one
