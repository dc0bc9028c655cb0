"""What one visitor has chosen: a plain dataclass, safe to copy, that becomes the recipe travelling with a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from merging import Recipe, registry
from merging.errors import RecipeError
from merging.registry import Knob, Method
from ui.layers import Curve, Key, moved_along, setting_of
from ui.names import most_models, optional_base

Value = float | bool
SPARE = ("zoo:general", "zoo:safety", "zoo:mix-15", "zoo:base")


@dataclass(frozen=True)
class Session:
    """The state of the controls.

    Attributes:
        method: Name of the merge method.
        models: Checkpoints in picker order; for a two-endpoint method t = 0, then t = 1.
        base: The common ancestor; None where the method takes none or an optional one is left out.
        knobs: Values of the merge's own knobs; one that is missing has its slider's start.
        per_model: Values of per-model knobs, one mapping for each of `models`.
        curves: Values by layer of a knob, in place of its one value, by knob and model.
        aim: Which knob's curve is shown; None for the one that has a curve, or the first.
        seed: Seed of the noise of a random method.
        written: YAML of a recipe that the controls cannot express (slices, other filters); while set it is the recipe.
        draft: YAML that was typed and is not in use; it is kept until it is used or given up.
    """

    method: str = "slerp"
    models: tuple[str, ...] = ("zoo:general", "zoo:safety")
    base: str | None = None
    knobs: Mapping[str, Value] = field(default_factory=dict)
    per_model: tuple[Mapping[str, Value], ...] = ()
    curves: Mapping[Key, Curve] = field(default_factory=dict)
    aim: Key | None = None
    seed: int = 0
    written: str | None = None
    draft: str | None = None

    def value(self, name: str, model: int | None = None) -> Value:
        """What a knob stands at, for the merge or for the model at a position."""
        knob = registry.get(self.method).knobs[name]
        own = self.knobs if model is None else self.per_model[model] if model < len(self.per_model) else {}
        return own.get(name, knob.default)

    def recipe(self) -> Recipe:
        """The recipe these choices mean.

        Raises:
            RecipeError: The choices cannot be merged, e.g. weights that sum to 0.
        """
        if self.written is not None:
            return Recipe.from_yaml(self.written)
        method = registry.get(self.method)
        mine = {
            name: self._said(name)
            for name, knob in method.knobs.items()
            if not knob.per_model and self._says(name, knob)
        }
        return Recipe.build(
            self.method,
            models=list(self.models),
            base_model=self.models[0] if method.inputs == "two" else self.base,
            parameters=mine,
            per_model=[self._of_model(method, at) for at in range(len(self.models))],
            seed=self.seed if method.random else 0,
        )

    def _of_model(self, method: Method, at: int) -> dict[str, Any]:
        return {
            name: self._said(name, at)
            for name, knob in method.knobs.items()
            if knob.per_model and self._says(name, knob, at)
        }

    def _said(self, name: str, model: int | None = None) -> Any:
        curve = self.curves.get((name, model))
        return self.value(name, model) if curve is None else curve.said()

    def _says(self, name: str, knob: Knob, model: int | None = None) -> bool:
        """A knob at mergekit's default is left out, so that the YAML shows what was chosen."""
        return knob.absent is None or (name, model) in self.curves or self.value(name, model) != knob.absent

    def with_method(self, name: str, checkpoints: Sequence[str] = SPARE) -> "Session":
        """The same models under another method; values of knobs both know are kept, missing models are filled in."""
        method = registry.get(name)
        base = self.base if method.takes_ancestor else None
        if base is None and (method.inputs == "two+base?" or (method.takes_ancestor and not optional_base(method))):
            base = _ancestor(checkpoints)
        places = [at for at, model in enumerate(self.models) if model != base]
        models = [self.models[at] for at in places]
        spare = [model for model in checkpoints if model not in models and model != base]
        models += spare[: max(0, min(2, most_models(method)) - len(models))]
        models, places = models[: most_models(method)], places[: most_models(method)]

        def known(knob: str, *, per_model: bool) -> bool:
            return knob in method.knobs and method.knobs[knob].per_model == per_model

        own = [self.per_model[at] if at < len(self.per_model) else {} for at in places]
        kept = {(knob, at): curve for (knob, at), curve in self.curves.items() if known(knob, per_model=at is not None)}
        return replace(
            self,
            method=name,
            models=tuple(models),
            base=base,
            knobs={knob: value for knob, value in self.knobs.items() if known(knob, per_model=False)},
            per_model=tuple({k: v for k, v in values.items() if known(k, per_model=True)} for values in own),
            curves=moved_along(kept, {old: new for new, old in enumerate(places)}),
            written=None,
        )

    def with_value(self, name: str, value: Value, model: int | None = None) -> "Session":
        """The same choices with one knob moved; the knob has this one value in every layer then."""
        curves = {key: curve for key, curve in self.curves.items() if key != (name, model)}
        if model is None:
            return replace(self, knobs={**self.knobs, name: value}, curves=curves, written=None)
        own = [dict(values) for values in self.per_model] + [{} for _ in range(len(self.models) - len(self.per_model))]
        own[model][name] = value
        return replace(self, per_model=tuple(own), curves=curves, written=None)

    def with_curve(self, key: Key, curve: Curve) -> "Session":
        """The same choices with one knob by layer; a flat curve is the one value again."""
        if curve.is_flat:
            return self.with_value(key[0], curve.rows[0][0], key[1])
        return replace(self, curves={**self.curves, key: curve}, written=None)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "Session":
        """The controls that show a recipe; what they cannot say is carried along as `written`."""
        method = registry.get(recipe.method)
        base, sources = recipe.roles(recipe.slices[0])
        models = tuple(source.model for source in sources)
        if method.inputs == "two":
            models = (base.model if base else recipe.base_model or "", *models)
        knobs: dict[str, Value] = {}
        per_model: list[dict[str, Value]] = [{} for _ in models]
        curves: dict[Key, Curve] = {}
        for name, knob in method.knobs.items():
            for at, source in enumerate(sources) if knob.per_model else ((None, None),):
                setting = recipe.setting(name, recipe.slices[0], source)
                values = knobs if at is None else per_model[at]
                if len(setting) == 1 and setting[0].filter is None and len(setting[0].value) == 1:
                    values[name] = setting[0].value[0]
                elif found := setting_of(recipe, (name, at)):
                    curves[name, at] = Curve.sampled(found)
                    values[name] = curves[name, at].mean
        shown = cls(
            method=recipe.method,
            models=models,
            base=recipe.base_model if method.takes_ancestor else None,
            knobs=knobs,
            per_model=tuple(per_model),
            curves=curves,
            seed=recipe.seed,
        )
        return shown if shown._means(recipe) else replace(shown, written=recipe.to_yaml())

    def _means(self, recipe: Recipe) -> bool:
        """Whether the controls alone give the same recipe."""
        try:
            return self.recipe().digest() == recipe.digest()
        except RecipeError:
            return False


def loaded(session: Session, recipe: Recipe) -> Session:
    """The session after a recipe was loaded into it; text that was typed and not used stays."""
    return replace(Session.from_recipe(recipe), draft=session.draft)


def _ancestor(checkpoints: Sequence[str]) -> str | None:
    return next((name for name in checkpoints if name == "zoo:base"), checkpoints[-1] if checkpoints else None)
