"""What one visitor has chosen: a plain dataclass, safe to copy, that becomes the recipe travelling with a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from merging import Recipe, registry
from merging.registry import Knob, Method

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
        seed: Seed of the noise of a random method.
        written: YAML of a recipe that sliders cannot express (a gradient, slices); while it is set it is the recipe.
    """

    method: str = "slerp"
    models: tuple[str, ...] = ("zoo:general", "zoo:safety")
    base: str | None = None
    knobs: Mapping[str, Value] = field(default_factory=dict)
    per_model: tuple[Mapping[str, Value], ...] = ()
    seed: int = 0
    written: str | None = None

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
            name: self.value(name)
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

    def _of_model(self, method: Method, at: int) -> dict[str, Value]:
        return {
            name: self.value(name, at)
            for name, knob in method.knobs.items()
            if knob.per_model and self._says(name, knob, at)
        }

    def _says(self, name: str, knob: Knob, model: int | None = None) -> bool:
        """A knob at mergekit's default is left out, so that the YAML shows what was chosen."""
        return knob.absent is None or self.value(name, model) != knob.absent

    def with_method(self, name: str, checkpoints: Sequence[str] = SPARE) -> "Session":
        """The same models under another method; values of knobs both know are kept, missing models are filled in."""
        method = registry.get(name)
        base = (self.base or _ancestor(checkpoints)) if method.inputs in ("base+models", "two+base?") else None
        models = tuple(model for model in self.models if model != base)
        spare = [model for model in checkpoints if model not in models and model != base]
        models += tuple(spare[: max(0, 2 - len(models))])
        if method.inputs.startswith("two"):
            models = models[:2]
        kept = {
            name: value
            for name, value in self.knobs.items()
            if name in method.knobs and not method.knobs[name].per_model
        }
        own = tuple(
            {key: value for key, value in values.items() if key in method.knobs and method.knobs[key].per_model}
            for values in self.per_model[: len(models)]
        )
        return replace(self, method=name, models=models, base=base, knobs=kept, per_model=own, written=None)

    def with_value(self, name: str, value: Value, model: int | None = None) -> "Session":
        """The same choices with one knob moved."""
        if model is None:
            return replace(self, knobs={**self.knobs, name: value}, written=None)
        own = [dict(values) for values in self.per_model] + [{} for _ in range(len(self.models) - len(self.per_model))]
        own[model][name] = value
        return replace(self, per_model=tuple(own), written=None)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "Session":
        """The controls that show a recipe; what sliders cannot say is carried along as `written`."""
        method = registry.get(recipe.method)
        base, sources = recipe.roles(recipe.slices[0])
        models = tuple(source.model for source in sources)
        if method.inputs == "two":
            models = (base.model if base else recipe.base_model or "", *models)
        knobs: dict[str, Value] = {}
        per_model: list[dict[str, Value]] = [{} for _ in models]
        for name, knob in method.knobs.items():
            owners = list(enumerate(sources)) if knob.per_model else [(None, None)]
            for at, source in owners:
                setting = recipe.setting(name, recipe.slices[0], source)
                if len(setting) == 1 and setting[0].filter is None and len(setting[0].value) == 1:
                    (knobs if at is None else per_model[at])[name] = setting[0].value[0]
        shown = cls(
            method=recipe.method,
            models=models,
            base=None if method.inputs in ("two", "models") else recipe.base_model,
            knobs=knobs,
            per_model=tuple(per_model),
            seed=recipe.seed,
        )
        return shown if shown._means(recipe) else replace(shown, written=recipe.to_yaml())

    def _means(self, recipe: Recipe) -> bool:
        """Whether the controls alone give the same recipe."""
        return self.recipe().digest() == recipe.digest()


def _ancestor(checkpoints: Sequence[str]) -> str | None:
    return next((name for name in checkpoints if name == "zoo:base"), checkpoints[-1] if checkpoints else None)
