"""How a measure is named, directed and written on the page; the definitions themselves live in `eval.metrics`."""

from collections.abc import Iterable
from dataclasses import dataclass

from eval.types import DIRECTION


@dataclass(frozen=True)
class Shown:
    """One measure as a reader meets it.

    Attributes:
        key: Its name in code, store and JSON.
        label: Its name on the page.
        unit: "" for a fraction in [0, 1], "%" for a percentage.
    """

    key: str
    label: str
    unit: str = ""

    @property
    def better(self) -> str:
        """Which direction is better: "lower" or "higher"."""
        return DIRECTION[self.key]

    @property
    def arrow(self) -> str:
        """The direction that is better, as an arrow."""
        return "↓" if self.better == "lower" else "↑"

    @property
    def axis(self) -> str:
        """An axis title that says which way is better."""
        return f"{self.label}  {'← lower' if self.better == 'lower' else '→ higher'} is better"


SHOWN = (
    Shown("harm", "harm"),
    Shown("over_refusal", "over-refusal"),
    Shown("invalid", "invalid"),
    Shown("general", "general"),
    Shown("win_rate", "chrF win-rate"),
)
AXES = (*SHOWN, Shown("harm_vs_base", "harm against base, %", "%"))
BY_KEY = {shown.key: shown for shown in AXES}
LANGUAGES = {"en": "English", "hi": "Hindi", "fr": "French", "es": "Spanish", "ar": "Arabic", "ru": "Russian"}


def figure(value: float, unit: str = "") -> str:
    """A value as written on the page: two decimals, or a whole percentage; a real minus sign."""
    text = f"{value:.0f} %" if unit == "%" else f"{value:.2f}"
    return text.replace("-0.00", "0.00").replace("-", "−")


def short(value: float, unit: str = "") -> str:
    """A bound of an interval: as `figure`, without the leading zero."""
    text = figure(value, unit).removesuffix(" %")
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text


def interval(low: float | None, high: float | None, unit: str = "") -> str:
    """`[low, high]`, or nothing where there is none."""
    return "" if low is None or high is None else f"[{short(low, unit)}, {short(high, unit)}]"


def signed(value: float) -> str:
    """A difference with its sign: +0.05, −0.14, 0.00."""
    text = figure(value)
    return text if text.startswith("−") or text == "0.00" else f"+{text}"


def signed_short(value: float) -> str:
    """A bound of a difference: as `signed`, without the leading zero."""
    return signed(value).replace("0.", ".", 1)


def languages(codes: Iterable[str]) -> list[str]:
    """Codes in the order of the page, unknown ones last."""
    known = list(LANGUAGES)
    return sorted(codes, key=lambda code: (known.index(code) if code in known else len(known), code))
