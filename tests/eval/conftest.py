"""Tiny models run on one thread: two that spin on a busy machine are slower than one by a hundred times."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    torch = sys.modules.get("torch")
    if torch is None or request.node.get_closest_marker("zoo"):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
