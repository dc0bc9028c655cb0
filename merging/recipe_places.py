"""The line of a recipe's YAML that a place such as `models[0].parameters.weight` stands in. Needs no torch."""

import re

import yaml

_INDEX = re.compile(r"\[(\d+)\]")
_NAMED = re.compile(r"\[=(.+)\]$")  # the item of a list whose `model` is that


def line_of(root: yaml.Node, *places: str) -> int | None:
    """The line, 1-based, of the first place that is there; None where none is.

    A place whose end is missing (`parameters.t` without any `t`) stands in the line of the deepest part that is there.
    """
    for place in places:
        found = _walk(root, place)
        if found is not None:
            return found + 1
    return None


def _walk(node: yaml.Node, rest: str) -> int | None:
    line = None
    while rest:
        step = _item(node, rest) if isinstance(node, yaml.SequenceNode) else _key(node, rest)
        if step is None:
            break
        line, node, rest = step
        rest = rest.removeprefix(".")
    return line


def _item(node: yaml.SequenceNode, rest: str) -> tuple[int, yaml.Node, str] | None:
    if named := _NAMED.match(rest):
        found = next((item for item in node.value if _model(item) == named[1]), None)
        return (found.start_mark.line, found, "") if found is not None else None
    index = _INDEX.match(rest)
    if index is None or int(index[1]) >= len(node.value):
        return None
    item = node.value[int(index[1])]
    return item.start_mark.line, item, rest[index.end() :]


def _model(item: yaml.Node) -> str | None:
    pairs = item.value if isinstance(item, yaml.MappingNode) else []
    return next((str(part.value).strip() for key, part in pairs if key.value == "model"), None)


def _key(node: yaml.Node, rest: str) -> tuple[int, yaml.Node, str] | None:
    """The key that `rest` starts with, the longest one: keys may hold dots and brackets themselves."""
    if not isinstance(node, yaml.MappingNode):
        return None
    pairs = [(str(key.value), key, part) for key, part in node.value if isinstance(key, yaml.ScalarNode)]
    # Every step takes a piece of `rest`, so that a node which holds itself (a YAML alias) comes to an end too.
    fits = [pair for pair in pairs if pair[0] and (rest + ".").startswith((f"{pair[0]}.", f"{pair[0]}["))]
    if not fits:
        return None
    name, key, part = max(fits, key=lambda pair: len(pair[0]))
    return key.start_mark.line, part, rest[len(name) :]
