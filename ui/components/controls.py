"""The recipe's widgets: method buttons, pickers, and one fixed pool of sliders, dressed for whatever the method needs.

A pool, because widgets that are made anew lose their values: a slider is shown, named and bounded by the
method's knobs, and hidden when they are fewer. A new merge method needs no change here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from merging.registry import Knob, Method
from ui.names import brief, ordered, short

DIALS = 5
MODELS = 4
SWITCHES = 4
SHARED = -1
NONE = "none"


@dataclass(frozen=True)
class Dial:
    """A visible slider: a knob, and whose it is (None: the merge's, SHARED: every model's, else a model's position)."""

    knob: str
    model: int | None = None


@dataclass(frozen=True)
class Controls:
    """The widgets of the column, in the order in which updates are returned."""

    method: gr.Radio
    base: gr.Dropdown
    models: tuple[gr.Dropdown, ...]
    dials: tuple[gr.Slider, ...]
    ends: gr.HTML
    seed: gr.Number
    switches: tuple[gr.Checkbox, ...]

    @property
    def all(self) -> list[Any]:
        """Every widget, flat."""
        return [self.method, self.base, *self.models, *self.dials, self.ends, self.seed, *self.switches]


def dials(method: Method, count: int) -> list[Dial]:
    """The sliders of a method with `count` models: at most DIALS; the last per-model knobs are shared to get there."""
    numbers = [(name, knob) for name, knob in method.knobs.items() if knob.kind == "number"]
    shared: list[str] = []
    for name, _ in reversed([pair for pair in numbers if pair[1].per_model]):
        if sum(count if knob.per_model and other not in shared else 1 for other, knob in numbers) <= DIALS:
            break
        shared.append(name)
    shown: list[Dial] = []
    for name, knob in numbers:
        if not knob.per_model:
            shown.append(Dial(name))
        elif name in shared:
            shown.append(Dial(name, SHARED))
        else:
            shown += [Dial(name, at) for at in range(count)]
    return shown[:DIALS]


def switches(method: Method) -> list[tuple[str, Knob]]:
    """The true / false knobs of a method."""
    return [(name, knob) for name, knob in method.knobs.items() if knob.kind == "switch"][:SWITCHES]


def dial_label(dial: Dial, models: Sequence[str], share: float | None = None) -> str:
    """The words above a slider; beside a weight, the share it really has."""
    if dial.model is None:
        return dial.knob
    if dial.model == SHARED:
        return f"{dial.knob} (each)"
    said = "" if share is None else f" · {share:.0%}".replace("%", " %")
    return f"{dial.knob} {short(models[dial.model])}{said}"


def ends(left: str, right: str) -> str:
    """The two models at the ends of a slider."""
    return f'<div class="mf-ends"><span>{escape(short(left))}</span><span>{escape(short(right))}</span></div>'


def says(text: str) -> str:
    """A quiet line below the sliders."""
    return f'<div class="mf-says">{escape(text)}</div>'


def method_picker(methods: Sequence[Method], value: str) -> gr.Radio:
    """The method buttons."""
    choices = [(brief(method), method.name) for method in ordered(methods)]
    return gr.Radio(choices, value=value, label="Method", elem_id="mf-method", interactive=True, container=False)


def pool(
    names: Sequence[str],
) -> tuple[gr.Dropdown, tuple[gr.Dropdown, ...], tuple[gr.Slider, ...], gr.HTML, gr.Number]:
    """Base picker, model pickers, sliders, the line below them, and the seed; all dressed later."""
    base = _picker("Base", names, "mf-base")
    models = tuple(_picker(f"model {at + 1}", names, f"mf-model-{at}") for at in range(MODELS))
    sliders = tuple(
        gr.Slider(
            0,
            1,
            0.5,
            step=0.01,
            label=f"knob {at + 1}",
            interactive=True,
            buttons=[],
            elem_id=f"mf-dial-{at}",
            elem_classes="mf-dial",
        )
        for at in range(DIALS)
    )
    line = gr.HTML("", elem_id="mf-ends", elem_classes="mf-quiet", apply_default_css=False)
    seed = gr.Number(
        0, label="seed of the noise", precision=0, minimum=0, interactive=True, elem_id="mf-seed", visible=False
    )
    return base, models, sliders, line, seed


def switch_pool() -> tuple[gr.Checkbox, ...]:
    """Check boxes for true / false knobs; they live in the drawer."""
    return tuple(
        gr.Checkbox(False, label=f"switch {at + 1}", interactive=True, visible=False, elem_id=f"mf-switch-{at}")
        for at in range(SWITCHES)
    )


def _picker(label: str, names: Sequence[str], elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(
        list(names),
        value=None,
        label=label,
        allow_custom_value=True,
        interactive=True,
        elem_id=elem_id,
        elem_classes="mf-picker",
        filterable=True,
    )
