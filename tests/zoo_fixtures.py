"""Session fixture `zoo_home`: the built embedded family, or a loud skip where it cannot be had."""

from pathlib import Path

import pytest

from merging import zoo
from merging.errors import CheckpointError


@pytest.fixture(scope="session")
def zoo_home() -> Path:
    """Cache folder with everything built; downloads 238 MB the first time it is asked for."""
    try:
        return zoo.prepare()
    except CheckpointError as error:
        pytest.skip(f"the embedded family cannot be prepared: {error}")
