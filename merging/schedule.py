"""The value of a parameter for one tensor: name filters and per-layer gradients, as in mergekit. Needs no torch."""

from dataclasses import dataclass

Scalar = float | bool


@dataclass(frozen=True)
class Entry:
    """One line of a setting: a constant, or a gradient over the layers, for tensors whose name holds `filter`."""

    value: tuple[Scalar, ...]
    filter: str | None = None

    def matches(self, name: str) -> bool:
        """Whether the line speaks of the tensor called `name` (plain substring, no filter = every tensor)."""
        return self.filter is None or self.filter in name


Setting = tuple[Entry, ...]


def constant(value: Scalar) -> Setting:
    """The setting that has one value everywhere."""
    return (Entry((value,)),)


def join(*levels: Setting | None) -> Setting:
    """The settings of several levels as one, most specific first; what follows a line without filter is cut."""
    lines: list[Entry] = []
    for entry in (entry for level in levels if level for entry in level):
        lines.append(entry)
        if entry.filter is None:
            break
    return tuple(lines)


def position(layer: int, layers: int) -> float:
    """Where a layer stands in its slice, 0 (first) to 1 (last). A slice of one layer stands at 1, as in mergekit."""
    return layer / (layers - 1) if layers > 1 else 1.0


def value(setting: Setting, name: str, place: float) -> Scalar | None:
    """The value of a setting for one tensor.

    Args:
        setting: Lines, most specific first.
        name: Name of the tensor in the merged model.
        place: 0 to 1 over the layers of the slice; embeddings, final norm and head stand at 0.

    Returns:
        The value, numbers interpolated linearly between the two nearest anchors (true / false: the anchor below), or
        None when no line matches.
    """
    entry = next((entry for entry in setting if entry.matches(name)), None)
    if entry is None:
        return None
    anchors = entry.value
    spot = place * (len(anchors) - 1)
    low = min(int(spot), len(anchors) - 1)
    high = min(low + 1, len(anchors) - 1)
    first, second = anchors[low], anchors[high]
    if isinstance(first, bool) or isinstance(second, bool):
        return first
    share = spot - low
    return (1 - share) * first + share * second
