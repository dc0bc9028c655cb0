"""The Advanced drawer's widgets: method card, layer curve, YAML, check and geometry, one tab each."""

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from ui.components import controls
from ui.components.layers import bands

Quiet = dict[str, Any]
_QUIET: Quiet = {"elem_classes": "mf-quiet", "apply_default_css": False}


@dataclass(frozen=True)
class Drawer:
    """The widgets that the drawer's events update.

    Attributes:
        card: The method's card.
        aim: Which knob the layer curve is of.
        bands: The layer curve.
        yaml: The recipe as text, or what the visitor types.
        note: What is wrong with that text, and in which line.
        back: Gives the typed text up.
        check: Why the checkpoints can or cannot be merged.
        memory: What the merge keeps in memory.
        compute: Starts the geometry.
        halt: Stops it.
        geometry: How far it is, then what it found.
    """

    card: gr.HTML
    aim: gr.Dropdown
    bands: gr.HTML
    yaml: gr.Textbox
    note: gr.HTML
    back: gr.Button
    check: gr.HTML
    memory: gr.HTML
    compute: gr.Button
    halt: gr.Button
    geometry: gr.HTML

    @property
    def all(self) -> list[Any]:
        """Every widget, flat."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class Handles:
    """Buttons that only start something."""

    flat: gr.Button
    classic: gr.Button
    use: gr.Button


def drawer() -> tuple[Drawer, Handles, tuple[gr.Checkbox, ...], tuple[gr.Slider, ...]]:
    """Lay the drawer out, closed; its switches and spare sliders belong to the controls."""
    with gr.Accordion("Advanced", open=False, elem_id="mf-advanced"), gr.Tabs(elem_id="mf-drawer"):
        with gr.Tab("Method"):
            switches, extras = controls.drawer_pool()
            card = gr.HTML("", elem_id="mf-card", **_QUIET)
        with gr.Tab("Layers"):
            aim, curve, flat, classic = _layers()
        with gr.Tab("YAML"):
            yaml, note, use, back = _yaml()
        with gr.Tab("Check"):
            check = gr.HTML("", elem_id="mf-check", **_QUIET)
            memory = gr.HTML("", elem_id="mf-memory", **_QUIET)
        with gr.Tab("Geometry"):
            compute, halt, geometry = _geometry()
    found = Drawer(card, aim, curve, yaml, note, back, check, memory, compute, halt, geometry)
    return found, Handles(flat, classic, use), switches, extras


def _layers() -> tuple[gr.Dropdown, gr.HTML, gr.Button, gr.Button]:
    aim = gr.Dropdown([], label="Curve of", interactive=True, elem_id="mf-aim", elem_classes="mf-picker", visible=False)
    curve = bands(elem_id="mf-bands", elem_classes="mf-quiet")
    with gr.Row(elem_classes="mf-buttons"):
        flat = gr.Button("Flat", size="sm", elem_id="mf-flat")
        classic = gr.Button("Classic curve", size="sm", elem_id="mf-classic")
    return aim, curve, flat, classic


def _yaml() -> tuple[gr.Textbox, gr.HTML, gr.Button, gr.Button]:
    yaml = gr.Textbox(
        label="Recipe (mergekit YAML)",
        lines=12,
        max_lines=18,
        elem_id="mf-yaml",
        interactive=True,
        buttons=["copy"],
    )
    note = gr.HTML("", elem_id="mf-yaml-note", **_QUIET)
    with gr.Row(elem_classes="mf-buttons"):
        use = gr.Button("Use this YAML", size="sm", elem_id="mf-use")
        back = gr.Button("Back to the recipe", size="sm", elem_id="mf-back", visible=False)
    return yaml, note, use, back


def _geometry() -> tuple[gr.Button, gr.Button, gr.HTML]:
    with gr.Row(elem_classes="mf-buttons"):
        compute = gr.Button("Compute geometry", size="sm", elem_id="mf-geometry-run")
        halt = gr.Button("Stop", size="sm", elem_id="mf-geometry-stop", interactive=False)
    return compute, halt, gr.HTML("", elem_id="mf-geometry", **_QUIET)
