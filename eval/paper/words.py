"""Numbers and differences as a person reads them. Needs no torch."""

from eval.metrics import Paired

AXES = {
    "harm": "harm",
    "harm_vs_base": "harm against the base",
    "win_rate": "chrF win-rate",
    "general": "general",
    "over_refusal": "over-refusal",
    "invalid": "invalid answers",
}


def points(value: float, measure: str) -> float:
    """A difference in points: percent of the base's harm as it is, fractions times 100."""
    return value if measure == "harm_vs_base" else 100 * value


def amount(paired: Paired) -> str:
    """Such as "-3.1 points [-8.0, +1.9]"; the reason where there is no difference."""
    if paired.difference is None or paired.low is None or paired.high is None:
        return f"undefined ({paired.reason})"
    value, low, high = (points(x, paired.measure) for x in (paired.difference, paired.low, paired.high))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def detectable(paired: Paired) -> str:
    """The smallest difference the items can tell, such as "9.4 points"; empty where undefined."""
    return "" if paired.detectable is None else f"{points(paired.detectable, paired.measure):.1f} points"


def axis(paired: Paired) -> str:
    """What is compared, with the language where it is one."""
    return AXES[paired.measure] + (f" in {paired.language}" if paired.language else "")


def told(paired: Paired) -> str:
    """One difference as a clause: what, how much, and whether it can be told."""
    if paired.difference is None or paired.word != "cannot tell":
        return f"{axis(paired)} {amount(paired)}" + ("" if paired.difference is None else f" ({paired.word})")
    smallest = detectable(paired)
    return f"{axis(paired)} {amount(paired)} (cannot tell; these items tell {smallest} or more)"


def duration(seconds: float) -> str:
    """About how long, such as "about 2 h 10 min"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes // 60} h {minutes % 60:02} min"
