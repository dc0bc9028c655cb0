"""What is asked of a set, as one text: its name, and which languages, categories and sample of it."""

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote_plus

from eval.errors import ProbeError
from merging.errors import did_you_mean

_KEYS = ("languages", "category", "sample", "seed")


@dataclass(frozen=True)
class Request:
    """A set, or a part of it. `str()` gives the text that `parse` reads; equal requests give equal texts."""

    name: str
    languages: tuple[str, ...] = ()
    """Codes; empty for all that the set offers by itself."""
    categories: tuple[str, ...] = ()
    sample: int | None = None
    """At most so many items of each kind in each language; None for all."""
    seed: int = 0

    @property
    def narrows(self) -> bool:
        """Whether it asks for a part only."""
        return bool(self.languages or self.categories or self.sample is not None)

    @classmethod
    def parse(cls, text: str) -> "Request":
        """Read "NAME?languages=en,fr&category=Hate+Speech&sample=50&seed=0"; category may stand several times.

        Raises:
            ProbeError: A key is unknown, or sample or seed is no whole number.
        """
        name, _, rest = text.partition("?")
        found = cls(name)
        for key, value in parse_qsl(rest, keep_blank_values=True):
            if key == "languages":
                codes = (code.strip() for code in value.split(","))
                found = replace(found, languages=tuple(dict.fromkeys(code for code in codes if code)))
            elif key == "category":
                found = replace(found, categories=(*found.categories, value))
            elif key == "sample":
                found = replace(found, sample=_whole(key, value, 1))
            elif key == "seed":
                found = replace(found, seed=_whole(key, value, 0))
            else:
                raise ProbeError(f"{text!r}: unknown {key!r}.{did_you_mean(key, _KEYS)} Known: {', '.join(_KEYS)}.")
        return found

    def with_options(
        self, *, languages: str | None, categories: tuple[str, ...], sample: int | None, seed: int | None
    ) -> "Request":
        """The request narrowed further by options of a command line; what is None or empty stays as it was.

        Raises:
            ProbeError: The sample or the seed is out of range.
        """
        found = self
        if languages:
            found = replace(found, languages=Request.parse(f"?languages={languages}").languages)
        if categories:
            found = replace(found, categories=categories)
        if sample is not None:
            found = replace(found, sample=_whole("sample", str(sample), 1))
        return found if seed is None else replace(found, seed=_whole("seed", str(seed), 0))

    def __str__(self) -> str:
        parts = [f"languages={','.join(self.languages)}"] if self.languages else []
        parts += [f"category={quote_plus(category)}" for category in self.categories]
        if self.sample is not None:
            parts += [f"sample={self.sample}", f"seed={self.seed}"]
        return self.name + ("?" + "&".join(parts) if parts else "")


def _whole(key: str, value: str, least: int) -> int:
    try:
        number = int(value)
    except ValueError as error:
        raise ProbeError(f"{key} must be a whole number, not {value!r}.") from error
    if number < least:
        raise ProbeError(f"{key} must be {least} or more, not {number}.")
    return number
