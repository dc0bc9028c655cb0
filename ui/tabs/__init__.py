"""The tabs of the page: one file and one line each. A tab is `build(service)`, called inside its own `gr.Tab`."""

from collections.abc import Callable
from typing import Any

from ui.tabs import explore

TABS: tuple[tuple[str, Callable[[Any], None]], ...] = (("Explore", explore.build),)
