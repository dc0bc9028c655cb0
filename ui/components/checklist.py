"""Why checkpoints can or cannot be merged: one line for each thing that decides it, with a mark and the way out."""

from collections.abc import Sequence
from html import escape

from ui.status import Finding

MARKS = {"fine": ("✓", "fine"), "warning": ("!", "may surprise"), "problem": ("✕", "stops the merge")}


def checklist(findings: Sequence[Finding]) -> str:
    """Markup of the list; what stops the merge comes first."""
    order = ["problem", "warning", "fine"]
    rows = "".join(_row(found) for found in sorted(findings, key=lambda found: order.index(found.verdict)))
    problems = sum(found.verdict == "problem" for found in findings)
    warnings = sum(found.verdict == "warning" for found in findings)
    if problems:
        said = "These checkpoints cannot be merged."
    elif warnings:
        said = "These checkpoints can be merged; look at the marked lines."
    else:
        said = "These checkpoints can be merged."
    return f'<div class="mf-check"><p><b>{said}</b></p><ul>{rows}</ul></div>'


def _row(found: Finding) -> str:
    mark, words = MARKS[found.verdict]
    return (
        f'<li class="mf-check-{found.verdict}"><i aria-hidden="true">{mark}</i><span class="mf-sr">{words}: </span>'
        f"<span><b>{escape(found.topic)}</b> {escape(found.text)}</span></li>"
    )
