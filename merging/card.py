"""The model card (README.md) of a merged model: its recipe, its parents, their licences, how to make it again."""

from collections.abc import Sequence
from typing import Any

import yaml

from merging.manifest import MANIFEST, TOOL
from merging.parents import Parent
from merging.plan import Plan

RECIPE = "mergekit_config.yml"  # the name under which mergekit leaves its recipes
# Licences the hub knows by these words; any other goes under `other` with its name.
KNOWN = (
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "bigscience-bloom-rail-1.0", "bigcode-openrail-m",
    "creativeml-openrail-m", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0",
    "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense", "artistic-2.0", "gemma", "llama2", "llama3",
    "llama3.1", "llama3.2", "llama3.3", "llama4",
)  # fmt: skip


def model_card(planned: Plan, parents: Sequence[Parent]) -> str:
    """The card as Markdown with the hub's front matter."""
    recipe, method = planned.recipe, planned.method
    body = [
        f"# {method.title} merge",
        "",
        f"Merged with {method.title} ({method.paper}): `{recipe.label()}`. Computed in float32, rounded once to "
        f"{planned.dtype}.",
        "",
        "## Parents",
        "",
        "| parent | role | revision | licence | sha256 of its content |",
        "|---|---|---|---|---|",
        *(_row(parent) for parent in parents),
        "",
        licence_sentence(parents),
        "",
        "## Recipe",
        "",
        "```yaml",
        recipe.to_yaml().rstrip(),
        "```",
        "",
        f"Recipe digest: `{recipe.digest()}`",
        "",
        "## Make it again",
        "",
        f"Merge Frontier {TOOL['version']} gives the same bytes from the same parents:",
        "",
        "```sh",
        f"python -m merging {RECIPE} OUT",
        f"python -m merging --verify OUT    # every file against {MANIFEST}",
        "```",
        "",
    ]
    front = yaml.safe_dump(_front(planned, parents), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n".join(body)


def _front(planned: Plan, parents: Sequence[Parent]) -> dict[str, Any]:
    """The front matter as the hub reads it."""
    repositories = [repo.partition("@")[0] for parent in parents for repo in parent.repositories]
    languages = [tag for parent in parents for tag in parent.languages]
    tree: dict[str, Any] = {}
    if languages:
        tree["language"] = list(dict.fromkeys(languages))
    tree |= _licence(parents)
    tree |= {"library_name": "transformers", "tags": ["merge", "merge-frontier", planned.recipe.method]}
    if repositories:
        tree |= {"base_model": list(dict.fromkeys(repositories)), "base_model_relation": "merge"}
    return tree


def _licence(parents: Sequence[Parent]) -> dict[str, str]:
    """The licence for the front matter: only where every parent states one and the same."""
    stated = {licence for parent in parents for licence in parent.licences}
    if len(stated) != 1 or not all(parent.licences for parent in parents):
        return {}
    (one,) = stated
    return {"license": one} if one in KNOWN else {"license": "other", "license_name": one}


def licence_sentence(parents: Sequence[Parent]) -> str:
    """What the parents' licences mean for the merged model, in one careful sentence."""
    silent = ", ".join(_code(parent.name) for parent in parents if not parent.licences)
    stated = list(dict.fromkeys(licence for parent in parents for licence in parent.licences))
    words = ", ".join(_code(licence) for licence in stated)
    if silent and stated:
        return (
            f"The cards state {words}, and no licence for {silent}: a merge contains its parents, so clear up what "
            "applies to each of them before you share it."
        )
    if silent:
        return (
            f"No licence is stated for {silent}: a merge contains its parents, so clear up what applies to each of "
            "them before you share it."
        )
    if len(stated) > 1:
        return (
            f"The parents state different licences ({words}): a merge contains its parents, so the terms of each of "
            "them may apply to it; clear up whether they allow it before you share it."
        )
    return (
        f"All parents state the licence {words}: a merge contains its parents, so read its terms before you share it."
    )


def _row(parent: Parent) -> str:
    revision = "<br>".join(_code(repo) for repo in parent.repositories) or "–"
    licences = ", ".join(parent.licences).replace("|", "\\|") or "not stated"
    return f"| {_code(parent.name)} | {parent.role} | {revision} | {licences} | `{parent.content}` |"


def _code(text: str) -> str:
    """Text as code in a table; a backtick or a bar in a folder's name would end it."""
    return f"`{text.replace('`', chr(39)).replace('|', chr(0x2758))}`"
