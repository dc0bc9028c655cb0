"""`tokenizer` and `tokenizer_source` of a recipe: in from YAML and out again. Needs no torch."""

from collections.abc import Mapping
from typing import Any

from merging.errors import RecipeError
from merging.recipe_parts import brief, keys, mapping, model_name
from merging.tokens import TokenRule

MOST = 65536  # tokens with a rule of their own

Read = tuple[str | None, tuple[TokenRule, ...], int | None]


def tokenizer(tree: Mapping[str, Any]) -> Read:
    """Whose tokenizer, the rules for single tokens, the padding.

    As in mergekit, `tokenizer` without a `source` means the union.

    Raises:
        RecipeError: A key or value is wrong; both keys are given.
    """
    source, given = tree.get("tokenizer_source"), tree.get("tokenizer")
    if given is None:
        return None if source is None else model_name(source, "tokenizer_source"), (), None
    if source is not None:
        raise RecipeError("The recipe has both tokenizer_source and tokenizer: keep one.", at="tokenizer_source")
    keys(mapping(given, "tokenizer"), ("source", "tokens", "pad_to_multiple_of"), "tokenizer")
    source = given.get("source")
    mode = "union" if source is None else model_name(source, "tokenizer.source")
    rules = mapping(given.get("tokens") or {}, "tokenizer.tokens")
    if len(rules) > MOST:
        raise RecipeError(f"tokenizer.tokens has {len(rules)} tokens: at most {MOST} are read.", at="tokenizer.tokens")
    return mode, tuple(_rule(token, one) for token, one in rules.items()), given.get("pad_to_multiple_of")


def _rule(token: str, given: Any) -> TokenRule:
    place = f"tokenizer.tokens.{token}"
    if not token:
        raise RecipeError("tokenizer.tokens has a token without any character: take it out.", at="tokenizer.tokens")
    given = mapping({} if given is None else given, place)
    keys(given, ("source", "force"), place)
    force = given.get("force", False)
    if not isinstance(force, bool):
        raise RecipeError(f"{place}.force is {brief(force)}: it must be true or false.", at=f"{place}.force")
    source = given.get("source")
    if source is None:
        return TokenRule(token, force=force)
    if not isinstance(source, Mapping) or not {"kind", "token", "token_id"} & set(source):
        return TokenRule(token, model_name(source, f"{place}.source"), token, force=force)
    return _row(token, source, f"{place}.source", force=force)


def _row(token: str, source: Mapping[str, Any], place: str, *, force: bool) -> TokenRule:
    """The rule of a source in mergekit's long form."""
    kind = source.get("kind", "model_token")
    if kind == "zero":
        keys(source, ("kind",), place)
        return TokenRule(token, zero=True, force=force)
    if kind != "model_token":
        raise RecipeError(f"{place}.kind is {brief(kind)}: it must be model_token or zero.", at=f"{place}.kind")
    keys(source, ("kind", "model", "token", "token_id"), place)
    if "model" not in source:
        raise RecipeError(f"{place} has no model: name the one whose row the token takes.", at=place)
    rows = [source[key] for key in ("token", "token_id") if source.get(key) is not None]
    if len(rows) != 1:
        raise RecipeError(f"{place} must have exactly one of `token` and `token_id`.", at=place)
    (row,) = rows
    key = "token" if source.get("token") is not None else "token_id"
    if key == "token" and (not isinstance(row, str) or not row):
        raise RecipeError(f"{place}.token is {brief(row)}: it must be text.", at=f"{place}.token")
    if key == "token_id" and (isinstance(row, bool) or not isinstance(row, int) or row < 0):
        raise RecipeError(
            f"{place}.token_id is {brief(row)}: it must be a whole number from 0.", at=f"{place}.token_id"
        )
    return TokenRule(token, model_name(source["model"], f"{place}.model"), row, force=force)


def emit_tokenizer(mode: str | None, rules: tuple[TokenRule, ...], padding: int | None) -> dict[str, Any]:
    """The keys that say the same, shortest first: none, `tokenizer_source`, or `tokenizer`."""
    if mode is None:
        return {}
    if not rules and padding is None:
        return {"tokenizer_source": mode}
    tree: dict[str, Any] = {"source": mode}
    if rules:
        tree["tokens"] = {rule.token: _emit_rule(rule) for rule in rules}
    return {"tokenizer": tree if padding is None else tree | {"pad_to_multiple_of": padding}}


def _emit_rule(rule: TokenRule) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if rule.zero:
        tree["source"] = {"kind": "zero"}
    elif rule.model is not None and rule.row == rule.token:
        tree["source"] = rule.model
    elif rule.model is not None:
        key = "token" if isinstance(rule.row, str) else "token_id"
        tree["source"] = {"kind": "model_token", "model": rule.model, key: rule.row}
    return tree | ({"force": True} if rule.force else {})
