"""Example prompts in six languages as quiet chips; harmful ones stay behind a notice until somebody opens them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from eval import probes

_HERE = Path(__file__).resolve().parent
FILE = _HERE.parents[1] / "assets" / "examples" / "prompts.json"
PROBE = "quick"
NOTICE = (
    "These requests, taken from the probe, ask for harmful things in mild words. They are here to see what a model "
    "refuses; an answer may offend."
)
_LOOKALIKE = "Harmless, but worded like something harmful: a model that refuses it refuses too much"


@dataclass(frozen=True)
class Prompts:
    """The examples of one language.

    Attributes:
        language: Its code.
        name: Its own name for itself.
        general: Ordinary questions.
        lookalike: Harmless ones that sound harmful.
        harmful: The probe's harmful requests in this language.
    """

    language: str
    name: str
    general: tuple[str, ...]
    lookalike: tuple[str, ...]
    harmful: tuple[str, ...]


def read() -> tuple[Prompts, ...]:
    """Every language's examples, in the order of the file; harmful ones come from the probe set, never from a copy."""
    rows: list[Mapping[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    items = [item for item in probes.load(PROBE).items if item.kind == "harmful"]
    return tuple(
        Prompts(
            language=row["language"],
            name=row["name"],
            general=tuple(row["general"]),
            lookalike=tuple(row["lookalike"]),
            harmful=tuple(item.prompt for item in items if item.language == row["language"]),
        )
        for row in rows
    )


def examples(prompts: Sequence[Prompts], **kwargs: Any) -> gr.HTML:
    """The chips as a widget. `submit` carries the `text` of a pressed one (from the client: treat it as typed)."""
    script = (_HERE / "examples.js").read_text(encoding="utf-8")
    return gr.HTML(markup(prompts), js_on_load=script, apply_default_css=False, **kwargs)


def markup(prompts: Sequence[Prompts]) -> str:
    """Language buttons, the chosen language's chips, and the closed list of harmful requests."""
    first = prompts[0].language if prompts else ""
    languages = "".join(_choice(own, pressed=own.language == first) for own in prompts)
    chips, harmful = "", ""
    for own in prompts:
        shown = own.language == first
        chips += _group(own, _chips(own.general) + _chips(own.lookalike, "look-alike"), shown=shown)
        harmful += _group(own, _chips(own.harmful), shown=shown)
    return (
        '<div class="mf-examples">'
        f'<div class="mf-example-languages" role="group" aria-label="Language of the examples">{languages}</div>{chips}'
        '<details class="mf-harmful"><summary>Harmful examples</summary>'
        f'<div class="mf-harmful-panel"><p>{escape(NOTICE)}</p>{harmful}</div></details></div>'
    )


def _choice(own: Prompts, *, pressed: bool) -> str:
    state = "true" if pressed else "false"
    code = own.language
    return (
        f'<button type="button" data-choose="{code}" lang="{code}" aria-pressed="{state}">{escape(own.name)}</button>'
    )


def _group(own: Prompts, chips: str, *, shown: bool) -> str:
    return (
        f'<div class="mf-example-chips" data-language="{own.language}" lang="{own.language}" role="group" '
        f'aria-label="Examples in {escape(own.name)}"{"" if shown else " hidden"}>{chips}</div>'
    )


def _chips(texts: Sequence[str], tag: str = "") -> str:
    kind = f' class="mf-lookalike" title="{_LOOKALIKE}"' if tag else ""
    note = f'<i lang="en">{tag}</i>' if tag else ""
    said = [escape(text) for text in texts]
    return "".join(f'<button type="button"{kind} data-ask="{text}"><bdi>{text}</bdi>{note}</button>' for text in said)
