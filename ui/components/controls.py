"""The recipe's widgets: method picker, pickers, and one fixed pool of sliders, dressed for whatever the method needs.

A pool, because widgets that are made anew lose their values: a slider is shown, named and bounded by the
method's knobs, and hidden when they are fewer. A new merge method needs no change here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from merging.registry import Knob, Method
from ui.names import PICKERS, USUAL, brief, ordered, short

DIALS = 5
EXTRAS = 10
SWITCHES = 6
SHARED = -1


@dataclass(frozen=True)
class Dial:
    """A visible slider: a knob, and whose it is (None: the merge's, SHARED: every model's, else a model's position)."""

    knob: str
    model: int | None = None


@dataclass(frozen=True)
class Controls:
    """The widgets of the column, in the order in which updates are returned."""

    method: gr.Radio
    more: gr.Dropdown
    base: gr.Dropdown
    models: tuple[gr.Dropdown, ...]
    dials: tuple[gr.Slider, ...]
    ends: gr.HTML
    seed: gr.Number
    switches: tuple[gr.Checkbox, ...]
    extras: tuple[gr.Slider, ...]

    @property
    def all(self) -> list[Any]:
        """Every widget, flat."""
        own = [self.method, self.more, self.base, *self.models, *self.dials, self.ends, self.seed]
        return [*own, *self.switches, *self.extras]

    @property
    def moving(self) -> list[Any]:
        """What `dress.moved` reads, in its order."""
        return [*self.dials, self.seed, *self.switches, *self.extras]


def dials(method: Method, count: int) -> list[Dial]:
    """The sliders in sight of a method with `count` models: at most DIALS.

    The first knob keeps one slider per model. To get there the other per-model knobs are shared, the last first; what
    still does not fit is in the drawer.
    """
    numbers = sliding(method)
    shared = _shared(numbers, count)
    shown: list[Dial] = []
    for name, knob in numbers.items():
        if not knob.per_model:
            shown.append(Dial(name))
        elif name in shared:
            shown.append(Dial(name, SHARED))
        else:
            shown += [Dial(name, at) for at in range(count)]
    return shown[:DIALS]


def extras(method: Method, count: int) -> list[Dial]:
    """The sliders in the drawer: knobs that found no place in sight, and the single values behind a shared slider."""
    numbers = sliding(method)
    seen = dials(method, count)
    found: list[Dial] = []
    for name, knob in numbers.items():
        wanted = [Dial(name, at) for at in range(count)] if knob.per_model else [Dial(name)]
        found += [dial for dial in wanted if dial not in seen]
    return found[:EXTRAS]


def sliding(method: Method) -> dict[str, Knob]:
    """The knobs that have a slider: numbers, but for constants of the arithmetic."""
    return {name: knob for name, knob in method.knobs.items() if knob.kind == "number" and not knob.advanced}


def _shared(numbers: Mapping[str, Knob], count: int) -> list[str]:
    shared: list[str] = []
    for name in reversed([name for name, knob in numbers.items() if knob.per_model][1:]):
        if sum(count if knob.per_model and other not in shared else 1 for other, knob in numbers.items()) <= DIALS:
            break
        shared.append(name)
    return shared


def switches(method: Method) -> list[tuple[str, Knob]]:
    """The true / false knobs of a method."""
    return [(name, knob) for name, knob in method.knobs.items() if knob.kind == "switch"][:SWITCHES]


def dial_label(dial: Dial, models: Sequence[str], share: float | None = None, *, curved: bool = False) -> str:
    """The words above a slider: whose it is; beside a weight, the share it really has; whether it goes by layer."""
    said = " · by layer" if curved else "" if share is None else f" · {share:.0%}".replace("%", " %")
    if dial.model is None:
        return f"{dial.knob}{said}"
    if dial.model == SHARED:
        return f"{dial.knob} (each){said}"
    return f"{dial.knob} {short(models[dial.model])}{said}"


def ends(left: str, right: str) -> str:
    """The two models at the ends of a slider."""
    return f'<div class="mf-ends"><span>{escape(short(left))}</span><span>{escape(short(right))}</span></div>'


def says(text: str) -> str:
    """A quiet line below the sliders."""
    return f'<div class="mf-says">{escape(text)}</div>'


def method_picker(methods: Sequence[Method], value: str) -> tuple[gr.Radio, gr.Dropdown]:
    """Buttons of the usual methods, and a list of all others that can be searched."""
    usual = [(brief(method), method.name) for method in ordered(methods) if method.name in USUAL]
    others = [(method.title, method.name) for method in ordered(methods) if method.name not in USUAL]
    with gr.Group(elem_id="mf-methods"):
        buttons = gr.Radio(usual, value=value, label="Method", elem_id="mf-method", interactive=True, container=False)
        more = gr.Dropdown(
            others,
            value=None,
            label="More methods",
            show_label=False,
            container=False,
            interactive=True,
            filterable=True,
            visible=bool(others),
            elem_id="mf-more",
        )
    return buttons, more


def pool(
    names: Sequence[str],
) -> tuple[gr.Dropdown, tuple[gr.Dropdown, ...], tuple[gr.Slider, ...], gr.HTML, gr.Number]:
    """Base picker, model pickers, sliders, the line below them, and the seed; all dressed later."""
    base = _picker("Base", names, "mf-base")
    models = tuple(_picker(f"model {at + 1}", names, f"mf-model-{at}") for at in range(PICKERS))
    sliders = tuple(_slider(f"knob {at + 1}", f"mf-dial-{at}", "mf-dial") for at in range(DIALS))
    line = gr.HTML("", elem_id="mf-ends", elem_classes="mf-quiet", apply_default_css=False)
    seed = gr.Number(
        0, label="seed of the noise", precision=0, minimum=0, interactive=True, elem_id="mf-seed", visible=False
    )
    return base, models, sliders, line, seed


def drawer_pool() -> tuple[tuple[gr.Checkbox, ...], tuple[gr.Slider, ...]]:
    """Check boxes for true / false knobs and the sliders that find no place in sight; they live in the drawer."""
    sliders = tuple(
        _slider(f"more {at + 1}", f"mf-extra-{at}", ["mf-dial", "mf-extra"], visible=False) for at in range(EXTRAS)
    )
    boxes = tuple(
        gr.Checkbox(False, label=f"switch {at + 1}", interactive=True, visible=False, elem_id=f"mf-switch-{at}")
        for at in range(SWITCHES)
    )
    return boxes, sliders


def _slider(label: str, elem_id: str, elem_classes: str | list[str], **kwargs: Any) -> gr.Slider:
    return gr.Slider(
        0, 1, 0.5, step=0.01, label=label, interactive=True, buttons=[], elem_id=elem_id, elem_classes=elem_classes,
        **kwargs,
    )  # fmt: skip


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
