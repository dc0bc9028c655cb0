"""The tabs of the page: one file and one line each.

A tab is `build(service, session)`, called inside its own `gr.Tab` with the state that all tabs share:
what the visitor chose.
"""

from collections.abc import Callable

import gradio as gr

from ui.status import Service
from ui.tabs import chat, explore, study

TABS: tuple[tuple[str, Callable[[Service, gr.State], None]], ...] = (
    ("Explore", explore.build),
    ("Chat", chat.build),
    ("Study", study.build),
)
