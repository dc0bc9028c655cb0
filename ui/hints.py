"""What the page says of a merge seconds after a drag: an instant measurement, and what that is worth."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from eval import calibration, instant
from eval.calibration import Calibration
from eval.statistics import Z95
from eval.store import Store
from eval.types import Measurement
from merging import Recipe
from ui.measures import BY_KEY, short
from ui.preview import Guess, Spread

KEPT = 512
"""Recipes whose hint is remembered."""


class Hints:
    """Hints by recipe; they are taken by whoever has the device."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: OrderedDict[str, Guess] = OrderedDict()

    def of(self, recipe: Recipe) -> Guess | None:
        """The hint that was taken for a recipe, if one was."""
        return self._found.get(recipe.digest())

    def take(
        self, recipe: Recipe, engine: Any, hashes: Mapping[str, str], cancelled: Callable[[], bool] | None
    ) -> Guess | None:
        """Score what the engine's model holds; None where nothing is known of what that is worth.

        Raises:
            Cancelled: `cancelled()` became true.
            EvalError: The model gives NaN.
        """
        if not any(one.speaks_of(instant.identify(recipe, engine, hashes)) for one in calibration.shipped()):
            return None
        found = instant.measure(recipe, engine, hashes=hashes, store=self._store, cancelled=cancelled)
        known = calibration.calibration_of(found)
        if known is None:
            return None
        self._found[recipe.digest()] = made = hint(found, known)
        while len(self._found) > KEPT:
            self._found.popitem(last=False)
        return made


def hint(found: Measurement, known: Calibration) -> Guess:
    """An instant measurement as a guess: figures with the error of their lines, and how well these follow the probe."""
    estimates = known.estimates(found)
    values = {
        name: Spread(one.value, Z95 * known.lines[name].error)
        for name, one in estimates.items()
        if one.value is not None
    }
    worth = ", ".join(f"{short(known.lines[name].correlation)} for {BY_KEY[name].label}" for name in values)
    return Guess(values, f"from likelihoods alone (r with the quick probe over {known.recipes} recipes: {worth})")
