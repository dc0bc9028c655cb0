"""Chat: one prompt, the merge of the moment and another model side by side. What happens is in `ui.chat`."""

from typing import Any

import gradio as gr
from gradio.context import Context

from ui import others
from ui.chat import HOTTEST, LONGEST, MOST_TOKENS, Chat, Decoding, Screen
from ui.components.chat import talk
from ui.components.examples import examples, read
from ui.conversation import Conversation
from ui.status import Service

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LONG: dict[str, Any] = {**QUIET, "concurrency_limit": 16, "concurrency_id": "chat"}
LOOK = 1.5
"""Seconds between two looks at models that are still being prepared."""


def build(service: Service, session: gr.State) -> None:
    """Lay the tab out and wire it; call inside a `gr.Tab`, with the session that Explore moves."""
    tab = Context.block
    screen, decoding, chips = _layout(service, session)
    chat = Chat(service, screen)
    _wire(screen, decoding, chips, chat)
    if isinstance(tab, gr.Tab):
        tab.select(chat.arrive, [session, screen.other], screen.everything, **QUIET, concurrency_limit=None)


def _layout(service: Service, session: gr.State) -> tuple[Screen, list[Any], gr.HTML]:
    said = gr.State(Conversation())
    with gr.Column(elem_id="mf-chat"):
        with gr.Row(elem_id="mf-chat-bar"):
            with gr.Row(elem_classes="mf-chat-side", elem_id="mf-mine"):
                mine = gr.HTML("", elem_classes="mf-quiet", apply_default_css=False)
                dial = _dial(0, 1, 0.5, 0.01, "t", elem_id="mf-chat-dial")
            with gr.Row(elem_classes="mf-chat-side", elem_id="mf-theirs"):
                other = _picker(service)
                theirs = gr.HTML("", elem_classes="mf-quiet", apply_default_css=False)
        panes = talk(Conversation().shown(), elem_id="mf-talk", elem_classes="mf-quiet")
        chips = examples(read(), elem_id="mf-examples", elem_classes="mf-quiet")
        with gr.Row(elem_id="mf-ask"):
            prompt = _prompt()
            send = gr.Button("Send", variant="primary", elem_id="mf-send", interactive=False)
        with gr.Row(elem_id="mf-chat-run"):
            stop = gr.Button("Stop", elem_id="mf-chat-stop", interactive=False)
            retry = gr.Button("Retry both", elem_id="mf-chat-retry", interactive=False)
            clear = gr.Button("Clear", elem_id="mf-chat-clear", interactive=False)
            says = gr.HTML("", elem_id="mf-chat-says", elem_classes="mf-quiet", apply_default_css=False)
            decoding = _decoding()
        gr.HTML(_notice(service), elem_id="mf-chat-notice", apply_default_css=False)
    timer = gr.Timer(LOOK)
    screen = Screen(session, said, panes, mine, dial, other, theirs, prompt, send, stop, retry, clear, says, timer)
    return screen, decoding, chips


def _picker(service: Service) -> gr.Dropdown:
    names = service.checkpoints()
    return gr.Dropdown(
        others.choices(names, service.points()),
        value=others.default(names),
        label="Beside it",
        allow_custom_value=True,
        interactive=True,
        filterable=True,
        elem_id="mf-other",
        elem_classes="mf-picker",
    )


def _prompt() -> gr.Textbox:
    return gr.Textbox(
        label="Prompt for both models",
        show_label=False,
        container=False,
        lines=1,
        max_lines=6,
        max_length=LONGEST,
        placeholder="Ask both models",
        elem_id="mf-prompt",
        interactive=True,
        html_attributes=gr.InputHTMLAttributes(enterkeyhint="send", autocomplete="off"),
    )


def _dial(low: float, high: float, value: float, step: float, label: str, **kwargs: Any) -> gr.Slider:
    return gr.Slider(
        low, high, value, step=step, label=label, interactive=True, buttons=[], elem_classes="mf-dial", **kwargs
    )


def _decoding() -> list[Any]:
    start = Decoding()
    with gr.Accordion("Decoding", open=False, elem_id="mf-decoding"), gr.Row():
        return [
            _dial(0, HOTTEST, start.temperature, 0.1, "temperature"),
            _dial(8, MOST_TOKENS, start.tokens, 8, "most tokens"),
            gr.Number(start.seed, label="seed", precision=0, minimum=0, interactive=True, elem_id="mf-chat-seed"),
        ]


def _notice(service: Service) -> str:
    small = any(name.startswith("zoo:") for name in service.checkpoints())
    size = "A 138 M model: fluent nonsense is common. " if small else ""
    meaning = "“Answered” means that it did not refuse, not that it is right; answers may offend."
    keys = "<span>Enter sends, Shift + Enter starts a new line.</span>"
    return f'<p class="mf-chat-notice"><span>{size}{meaning}</span>{keys}</p>'


def _wire(s: Screen, decoding: list[Any], chips: gr.HTML, chat: Chat) -> None:
    asking = [s.prompt.submit, s.send.click, chips.submit]
    asked = gr.on(asking, chat.send, [s.session, s.talk, s.prompt, s.other, *decoding], s.answering, **LONG)
    again = s.retry.click(chat.retry, [s.session, s.talk, s.other, *decoding], s.answering, **LONG)
    for event in (asked, again):
        event.failure(chat.recover, s.talk, s.answering, **QUIET, concurrency_limit=None)
    s.stop.click(chat.stop, None, s.stop, **QUIET, queue=False)
    s.clear.click(chat.clear, None, s.answering, **QUIET, concurrency_limit=None)
    drag = {**QUIET, "concurrency_limit": None, "trigger_mode": "always_last"}
    s.dial.input(chat.move, [s.session, s.dial], [s.session, s.mine], **drag)
    s.other.input(chat.choose, s.other, s.theirs, **QUIET, concurrency_limit=None)
    s.timer.tick(chat.look, None, [s.send, s.says, s.timer], **QUIET, queue=False)
    page = Context.root_block
    if page is not None:
        page.load(chat.open, [s.session, s.other], s.everything, **QUIET, concurrency_limit=None)
        page.unload(chat.leave)
