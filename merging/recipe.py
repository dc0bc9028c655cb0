"""A recipe: which models are merged, how, with what settings; mergekit YAML in and out. Needs no torch."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from merging import registry
from merging.errors import RecipeError
from merging.schedule import Setting, constant, join
from merging.tokens import TokenRule

Parameters = Mapping[str, Setting]


@dataclass(frozen=True)
class Source:
    """One model of a recipe, or some of its layers.

    Attributes:
        model: Name of the checkpoint as the recipe writes it.
        parameters: Settings of this model alone.
        layer_range: First layer and the one after the last; None for the whole model.
    """

    model: str
    parameters: tuple[tuple[str, Setting], ...] = ()
    layer_range: tuple[int, int] | None = None


@dataclass(frozen=True)
class Slice:
    """Some layers of the merged model and where they come from; every source has as many layers.

    Attributes:
        sources: The models, or some of their layers.
        parameters: Settings of this slice, a module's joined to them.
        module: The part of the model that the layers belong to, such as "vision_tower"; None for all of it.
    """

    sources: tuple[Source, ...]
    parameters: tuple[tuple[str, Setting], ...] = ()
    module: str | None = None


@dataclass(frozen=True)
class Recipe:
    """What to merge and how; equal meaning gives an equal `digest()`.

    Attributes:
        method: Name of the merge method.
        slices: The layers of the merged model, first to last. A recipe with `models` is one slice whose sources have
            no layer range; one with `modules` has the slices of each module, one module after the other.
        base_model: The ancestor (TIES, DARE, SLERP of task vectors), the t = 0 model (SLERP) or one of the models
            (Karcher mean).
        parameters: Settings of the whole merge.
        out_dtype: "float32", "bfloat16", "float16", or None for the dtype of the donor (base_model, else the first
            model).
        dtype: The recipe's compute dtype, kept for the round trip; the arithmetic here is float32 whatever it says.
        tokenizer: None (vocabularies must agree), "base", "union" or the name of a model.
        seed: Seed of the noise of a random method.
        tokens: Rules for single tokens of an aligned vocabulary, in listed order.
        pad_to_multiple_of: Rows of an aligned embedding are padded to a multiple of this.
        chat_template: None (the donor's), "auto" (the most common of the models), a built-in name, or Jinja.
    """

    method: str
    slices: tuple[Slice, ...]
    base_model: str | None = None
    parameters: tuple[tuple[str, Setting], ...] = ()
    dtype: str | None = None
    out_dtype: str | None = None
    tokenizer: str | None = None
    seed: int = 0
    tokens: tuple[TokenRule, ...] = ()
    pad_to_multiple_of: int | None = None
    chat_template: str | None = None

    def __post_init__(self) -> None:
        from merging.recipe_check import check

        check(self)

    @staticmethod
    def from_yaml(text_or_path: str | Path) -> "Recipe":
        """Read a recipe from YAML text, or from a file (a `Path`, or one line that ends in .yaml or .yml).

        Raises:
            RecipeError: The file or its YAML cannot be read, a key is unknown, or the recipe asks for what cannot be
                computed.
        """
        from merging.recipe_yaml import parse, read_text

        return parse(read_text(text_or_path))

    @staticmethod
    def build(
        method: str,
        *,
        models: Sequence[str],
        base_model: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        per_model: Sequence[Mapping[str, Any]] | None = None,
        dtype: str | None = None,
        out_dtype: str | None = None,
        tokenizer_source: str | None = None,
        seed: int = 0,
    ) -> "Recipe":
        """The recipe that the same words in YAML give; `per_model` holds one mapping of parameters for each model.

        Raises:
            RecipeError: As `from_yaml`.
        """
        from merging.recipe_yaml import parse_mapping

        if per_model is not None and len(per_model) != len(models):
            raise RecipeError(f"per_model has {len(per_model)} entries for {len(models)} models: give one for each.")
        own = per_model or [{}] * len(models)
        tree: dict[str, Any] = {
            "merge_method": method,
            "base_model": base_model,
            "models": [{"model": m, "parameters": dict(p)} for m, p in zip(models, own, strict=True)],
            "parameters": dict(parameters or {}),
            "dtype": dtype,
            "out_dtype": out_dtype,
            "tokenizer_source": tokenizer_source,
            "seed": seed,
        }
        return parse_mapping({key: value for key, value in tree.items() if value is not None})

    @staticmethod
    def single(model: str) -> "Recipe":
        """One checkpoint as it is, written as a merge of one."""
        return Recipe.build("linear", models=[model], per_model=[{"weight": 1.0}])

    def to_yaml(self) -> str:
        """The recipe as mergekit YAML; `Recipe.from_yaml` of it gives an equal recipe."""
        from merging.recipe_emit import emit

        return emit(self)

    def digest(self) -> str:
        """sha256 of the recipe's meaning, 64 hex digits: not of key order, written-out defaults or compute dtype."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        text = json.dumps(self._meaning(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _meaning(self) -> dict[str, Any]:
        method = registry.get(self.method)
        slices = []
        for piece in self.slices:
            base, models = self.roles(piece)
            sources = [[s.model, s.layer_range, self._settings(piece, s, per_model=True)] for s in models]
            ends = [base.model, base.layer_range] if base else None
            settings = self._settings(piece, None, per_model=False)
            slices.append([ends, sources, settings, *([piece.module] if piece.module else [])])
        rest = {  # keys of later versions: absent where they say nothing, so that older digests stay
            "tokens": [[t.token, t.model, t.row, t.zero, t.force] for t in self.tokens],
            "padding": self.pad_to_multiple_of if self.pad_to_multiple_of != 1 else None,
            "chat_template": self.chat_template,
        }
        return {key: value for key, value in rest.items() if value} | {
            "format": 1,
            "method": self.method,
            "base": self.base_model,
            "slices": slices,
            "dtype": self.out_dtype or self.dtype,
            "tokenizer": self.tokenizer,
            "seed": self.seed if method.random else 0,
        }

    def _settings(self, piece: Slice, source: Source | None, *, per_model: bool) -> dict[str, Any]:
        found = {}
        for name, knob in registry.get(self.method).knobs.items():
            if knob.per_model == per_model and (setting := self.setting(name, piece, source)):
                written = [[e.filter, [v if isinstance(v, bool) else float(v) for v in e.value]] for e in setting]
                if knob.absent is None or setting != constant(knob.absent):
                    found[name] = written
        return found

    def setting(self, name: str, piece: Slice, source: Source | None) -> Setting:
        """What the recipe says of one knob for one source, most specific first, then the default where there is one."""
        knob = registry.get(self.method).knobs[name]
        own = dict(source.parameters).get(name) if source and knob.per_model else None
        default = constant(knob.absent) if knob.absent is not None else None
        return join(own, dict(piece.parameters).get(name), dict(self.parameters).get(name), default)

    def roles(self, piece: Slice) -> tuple[Source | None, tuple[Source, ...]]:
        """The base (None where it plays no part of its own) and the other sources of a slice, in listed order."""
        if not registry.get(self.method).base_apart:
            return None, piece.sources
        base = next((s for s in piece.sources if s.model == self.base_model), None)
        return base, tuple(s for s in piece.sources if s is not base and (s.model != self.base_model or s.layer_range))

    def models_used(self) -> tuple[str, ...]:
        """Every checkpoint the recipe reads, in listed order, the base last where it is not listed."""
        names = [source.model for piece in self.slices for source in piece.sources]
        extra = [name for name in (self.base_model, self.tokenizer) if name and name not in ("base", "union")]
        return tuple(dict.fromkeys(names + extra + [rule.model for rule in self.tokens if rule.model]))

    @property
    def donor(self) -> str:
        """The checkpoint whose config and tokenizer the merged model gets: the base, else the first model listed."""
        return self.base_model or self.slices[0].sources[0].model

    @property
    def is_whole(self) -> bool:
        """Whether whole models are merged, layer for layer (`models`), rather than slices of them."""
        return all(self.covers(piece) for piece in self.slices)

    def covers(self, piece: Slice) -> bool:
        """Whether a slice is all of its module, layer for layer, rather than some layers."""
        alone = sum(other.module == piece.module for other in self.slices) == 1
        return alone and all(source.layer_range is None for source in piece.sources)

    def notes(self) -> tuple[str, ...]:
        """What the recipe says and the method does not use, one sentence each."""
        knobs = registry.get(self.method).knobs
        unused: dict[str, None] = {}
        for names, per_source in ((self._names(), False), (self._names(sources=True), True)):
            for name in names:
                if name not in knobs and name != "int8_mask":
                    unused[f"{self.method} has no {name}: the recipe's value is not used."] = None
                elif per_source and name in knobs and not knobs[name].per_model:
                    unused[f"{name} under a model is not used: put it under the recipe's parameters."] = None
        return tuple(unused)

    def _names(self, *, sources: bool = False) -> list[str]:
        pieces = [self.parameters, *(piece.parameters for piece in self.slices)]
        if sources:
            pieces = [source.parameters for piece in self.slices for source in piece.sources]
        return [name for piece in pieces for name, _ in piece]

    def label(self) -> str:
        """The recipe in a few characters, for chips: "slerp t=0.50", "ties weight=0.50/0.40 density=0.40"."""
        if len(self.slices) == 1 and len(self.slices[0].sources) == 1 and self.method == "linear":
            return self.slices[0].sources[0].model
        words = [self.method]
        for name, knob in registry.get(self.method).knobs.items():
            _, models = self.roles(self.slices[0])
            per = [self.setting(name, self.slices[0], s) for s in (models if knob.per_model else (None,))]
            if knob.absent is not None and all(setting == constant(knob.absent) for setting in per):
                continue
            words.append(f"{name}={'/'.join(_short(setting) for setting in per)}")
        return " ".join(words)


def _short(setting: Setting) -> str:
    if len(setting) != 1 or len(setting[0].value) != 1 or setting[0].filter is not None:
        return "curve"
    value = setting[0].value[0]
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.2f}" if math.isclose(value, round(value, 2), abs_tol=1e-9) else f"{value:.4g}"
