"""The status in the page's header, as markup: family, device and queue, or how far the models are."""

from html import escape

from ui.status import Status


def header(status: Status) -> str:
    """One line that says what the app can do right now."""
    if status.phase == "failed":
        return _line("mf-failed", f"<span>{escape(status.text)}</span>")
    if status.phase != "ready":
        share = round(100 * status.fraction)
        bar = (
            f'<span class="mf-preparing"><span>{escape(status.text)}</span><span class="mf-track" role="progressbar" '
            f'aria-label="Preparing the models" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}">'
            f'<i style="width:{share}%"></i></span></span>'
        )
        return _line("mf-working", bar)
    queue = "queue empty" if not status.queue else f"{status.queue} waiting"
    parts = (status.family, status.device, queue)
    line = "".join(f'<span class="mf-part">{escape(part)}</span>' for part in parts if part)
    return _line("mf-working" if status.queue else "", f"<span>{line}</span>")


def _line(kind: str, body: str) -> str:
    return f'<div class="mf-status"><span class="mf-dot {kind}"></span>{body}</div>'
