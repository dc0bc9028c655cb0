"""Measurements -> what the frontier chart draws: plain JSON, no drawing library, no colour values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from eval.frontier import eligible, pareto_mask, scores
from eval.metrics import INVALID_LIMIT
from eval.standing import standing
from eval.types import Estimate, Measurement
from merging.registry import Method
from ui.measures import AXES, BY_KEY, SHOWN, Shown, figure, interval
from ui.names import LAST, ORDER, brief, ordered
from ui.preview import Guess
from ui.status import Point

SYMBOLS = ("diamond", "circle", "square", "triangle-up", "pentagon", "triangle-down", "hexagon", "cross")
COLOURS = 8
# A method keeps its colour and shape wherever it is drawn; methods that are not listed take the free ones in turn.
PLACES = {name: at for at, name in enumerate((*ORDER, *LAST))}
EMPTY = "No merge is measured yet. Choose two models and press Probe: the result lands here."


@dataclass(frozen=True)
class Axes:
    """The two measures of the plane."""

    x: str = "harm"
    y: str = "general"

    @classmethod
    def checked(cls, x: object, y: object) -> "Axes":
        """Axes from a request; an unknown name falls back to the default of its axis."""
        default = cls()
        return cls(x if x in BY_KEY else default.x, y if y in BY_KEY else default.y)  # type: ignore[arg-type]


def estimate(measurement: Measurement, key: str) -> Estimate | None:
    """The overall estimate of one measure; None where it is undefined or was not measured."""
    found = measurement.measures.get(key)
    return None if found is None or found.value is None else found


def chart(
    points: Sequence[Point],
    *,
    methods: Sequence[Method],
    axes: Axes,
    selected: str | None = None,
    path: Sequence[str] = (),
) -> dict[str, Any]:
    """The value of the frontier chart.

    Args:
        points: Measured points of one probe.
        methods: Every method, for legend, colour and shape.
        axes: Which measures span the plane.
        selected: Id of the point whose recipe is loaded.
        path: Ids along a trace, in the order of the slider.

    Returns:
        JSON-ready dict. A point without a value on one of the axes is left out.
    """
    across, up = BY_KEY[axes.x], BY_KEY[axes.y]
    drawn = [point for point in points if _both(point, axes)]
    front = _frontier(drawn, axes)
    shares = standing([point.measurement for point in drawn], axes.x, axes.y)
    places = placing(methods)
    rows = [
        _row(point, across, up, share=shares.get(point.measurement.key) if point.id in front else None)
        | {"faded": point.id not in front and not point.landmark, "bars": point.id in front or bool(point.landmark)}
        for point in drawn
    ]
    at = {row["id"]: (row["x"], row["y"]) for row in rows}
    return {
        "axes": {"x": _axis(across, rows, "x"), "y": _axis(up, rows, "y")},
        "choices": [{"key": shown.key, "label": shown.label} for shown in AXES],
        "points": rows,
        "frontier": sorted(at[name] for name in front),
        "shape": "vh" if across.better == "higher" else "hv",
        "path": [at[name] for name in path if name in at],
        "methods": [
            {
                "name": method.name,
                "title": brief(method),
                "symbol": places[method.name][0],
                "colour": places[method.name][1],
            }
            for method in ordered(methods)
        ],
        "selected": selected,
        "revision": f"{axes.x}/{axes.y}",
        "empty": EMPTY,
    }


def star(guess: Guess | None, measured: Point | None, axes: Axes, *, label: str) -> dict[str, Any] | None:
    """The visitor's own merge on the chart: measured, guessed between measured neighbours, or only a hint why not."""
    if measured is not None and _both(measured, axes):
        x, y = (_value(measured, key) for key in (axes.x, axes.y))
        hover = _hover(label, measured.measurement, "measured")
        return {"x": x, "y": y, "measured": True, "label": "your merge", "hover": hover, "id": measured.id, "hint": ""}
    if guess is None or not {axes.x, axes.y} <= guess.values.keys():
        return None
    x, y = guess.values[axes.x], guess.values[axes.y]
    lines = [f"<b>{escape(label)}</b>", escape(guess.said)]
    lines += [f"{BY_KEY[key].label} ≈ {figure(found.value)}" for key, found in ((axes.x, x), (axes.y, y))]
    hover = "<br>".join([*lines, "Probe measures it"])
    return {
        "x": x.value, "y": y.value, "rx": x.half_width, "ry": y.half_width, "measured": False,
        "label": "your merge (preview)", "hover": hover, "id": "", "hint": "",
    }  # fmt: skip


def placing(methods: Iterable[Method]) -> dict[str, tuple[str, int]]:
    """Shape and colour of every method, no pair of them twice, stable whatever else is registered."""
    names = list(PLACES) + sorted({method.name for method in methods} - PLACES.keys())
    # the colours are shifted by one with every round of shapes, so that both together tell 64 methods apart
    return {name: (SYMBOLS[at % len(SYMBOLS)], (at + at // len(SYMBOLS)) % COLOURS) for at, name in enumerate(names)}


def _both(point: Point, axes: Axes) -> bool:
    return all(estimate(point.measurement, key) is not None for key in (axes.x, axes.y))


def _value(point: Point, key: str) -> float:
    found = estimate(point.measurement, key)
    if found is None or found.value is None:
        raise ValueError(f"{point.id} has no {key}")
    return found.value


def _frontier(points: Sequence[Point], axes: Axes) -> set[str]:
    """Ids that nothing beats on these axes; a model with too many invalid answers cannot be among them."""
    able = [point for point in points if eligible(point.measurement, axes.x, axes.y)]
    if not able:
        return set()
    kept = pareto_mask(scores([point.measurement for point in able], axes.x, axes.y))
    return {point.id for point, on in zip(able, kept, strict=True) if on}


def _hollow(measurement: Measurement) -> bool:
    invalid = estimate(measurement, "invalid")
    return invalid is not None and invalid.value is not None and invalid.value > INVALID_LIMIT


def _row(point: Point, across: Shown, up: Shown, *, share: float | None) -> dict[str, Any]:
    label = point.landmark or point.recipe.label()
    x, y = estimate(point.measurement, across.key), estimate(point.measurement, up.key)
    return {
        "id": point.id,
        "method": point.recipe.method,
        "landmark": point.landmark or "",
        "name": label,
        "hollow": _hollow(point.measurement),
        **_span(x, "x"),
        **_span(y, "y"),
        "hover": _hover(label, point.measurement, point.origin, point.recipe.label() if point.landmark else "", share),
        "summary": ", ".join(
            f"{shown.label} {figure(found.value or 0.0, shown.unit)} {interval(found.low, found.high, shown.unit)}"
            for shown, found in ((across, x), (up, y))
            if found is not None
        )
        + ("" if share is None else f", {stands(share)}"),
    }


def _span(found: Estimate | None, axis: str) -> dict[str, float | None]:
    return {axis: found and found.value, f"{axis}lo": found and found.low, f"{axis}hi": found and found.high}


def stands(share: float) -> str:
    """How surely a point is on the frontier, in words."""
    return f"on the frontier in {100 * share:.0f} % of resamples"


def _hover(label: str, measurement: Measurement, origin: str, detail: str = "", share: float | None = None) -> str:
    lines = [f"<b>{escape(label)}</b>"]
    if detail and detail != label:
        lines.append(escape(detail))
    for shown in SHOWN:
        found = estimate(measurement, shown.key)
        if found is not None and found.value is not None:
            lines.append(f"{shown.label} {figure(found.value)} {interval(found.low, found.high)}")
    if share is not None:
        lines.append(stands(share))
    lines.append(
        {"shipped": "shipped with the app · click loads it", "local": "measured here · click loads it"}.get(
            origin, origin
        )
    )
    return "<br>".join(lines)


def _axis(shown: Shown, rows: Sequence[Mapping[str, Any]], axis: str) -> dict[str, Any]:
    """Title and a fixed range: every interval fits, with room around, so that nothing jumps while the star moves."""
    ends = [row[name] for row in rows for name in (axis, f"{axis}lo", f"{axis}hi") if row[name] is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = max(0.06 * (high - low), 0.02 if not shown.unit else 2.0)
    return {
        "key": shown.key,
        "title": shown.axis,
        "range": [low - room, high + room],
        "format": ".0f" if shown.unit else ".2~f",
    }
