"""The model card (README.md) of a merged model: its recipe, its parents, how to make it again."""

from merging.plan import Plan


def model_card(planned: Plan) -> str:
    """The card as Markdown with the hub's front matter."""
    recipe = planned.recipe
    parents = list(dict.fromkeys(recipe.models_used()))
    hub = [name.partition("@")[0] for name in parents if name.count("/") == 1 and not name.startswith((".", "/", "~"))]
    front = ["---", "library_name: transformers", "tags:", "- merge"]
    front += ["base_model:", *(f"- {name}" for name in hub)] if hub else []
    rows = [f"| `{name}` | {'base' if name == recipe.base_model else 'model'} |" for name in parents]
    method = planned.method
    body = [
        "---",
        "",
        f"# {method.title} merge",
        "",
        f"Merged with {method.title} ({method.paper}): `{recipe.label()}`.",
        f"Computed in float32, rounded once to {planned.dtype}.",
        "The licence of this model follows from those of its parents.",
        "",
        "| parent | role |",
        "|---|---|",
        *rows,
        "",
        "## Recipe",
        "",
        "```yaml",
        recipe.to_yaml().rstrip(),
        "```",
        "",
        f"Recipe digest: `{recipe.digest()}`",
        "",
    ]
    return "\n".join(front + body)
