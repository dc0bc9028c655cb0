"""What the licences of merged models ask of the result, by their ids on the hub. A reading aid, not legal advice.

A merged model is a work made of all of its parents, so the terms of every one of them go with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from merging.checkpoint import Outline


@dataclass(frozen=True)
class Terms:
    """What a licence asks, as far as it bears on merging.

    Attributes:
        commercial: The model may be used to earn money.
        changes: Changed versions may be passed on.
        same: Changed versions must be under this very licence.
        own: Its maker's own terms (uses that are forbidden, a name to keep, a limit of users) go with every copy.
    """

    commercial: bool = True
    changes: bool = True
    same: bool = False
    own: bool = False


_FREE = Terms()
_OWN = Terms(own=True)
_RESEARCH = Terms(commercial=False, own=True)
_KNOWN: dict[str, Terms] = {
    **dict.fromkeys(
        ("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "isc", "zlib", "unlicense",
         "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "artistic-2.0", "wtfpl", "postgresql", "ncsa", "bsl-1.0",
         "cdla-permissive-1.0", "cdla-permissive-2.0", "odc-by", "pddl", "openmdw-1.0", "openmdw-1.1", "mpl-2.0"),
        _FREE,
    ),
    **dict.fromkeys(
        ("gpl", "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
         "eupl-1.1", "eupl-1.2", "osl-3.0", "odbl"),
        Terms(same=True),
    ),
    **dict.fromkeys(("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"), Terms(commercial=False)),
    **dict.fromkeys(("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"), Terms(commercial=False, same=True)),
    "cc-by-nd-4.0": Terms(changes=False),
    **dict.fromkeys(("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"), Terms(commercial=False, changes=False)),
    **dict.fromkeys(
        ("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma", "openrail", "openrail++",
         "creativeml-openrail-m", "bigscience-openrail-m", "bigscience-bloom-rail-1.0", "bigcode-openrail-m",
         "deepseek", "deepseek-license", "tongyi-qianwen", "qwen", "falcon-llm-license",
         "tongyi-qianwen-license-agreement", "nvidia-open-model-license", "apple-ascl", "lfm1.0", "hunyuan",
         "tencent-hunyuan-community", "modified-mit", "jamba-open-model-license"),
        _OWN,
    ),
    **dict.fromkeys(
        ("mrl", "mnpl", "apple-amlr", "fair-noncommercial-research-license", "intel-research", "qwen-research",
         "exaone", "h-research", "stabilityai-nc-research-community", "llama-research"),
        _RESEARCH,
    ),
}  # fmt: skip


def terms(licence: str) -> Terms:
    """What a licence asks; one that is not in the table is taken to have terms of its own."""
    return _KNOWN.get(licence.lower(), _OWN)


def licences(checkpoints: "Sequence[Outline]") -> tuple[tuple[str, str | None], ...]:
    """Name and licence of each checkpoint, each name once; None where its card does not say."""
    return tuple({checkpoint.name: checkpoint.licence for checkpoint in checkpoints}.items())


def conflicts(checkpoints: "Sequence[Outline]") -> tuple[str, ...]:
    """Where the licences of some checkpoints may not go together, or bind the result more than one expects.

    Adapters count with the models they stand on. Models of one licence agree with each other, and a model whose card
    states none is passed over: nothing is known of it.
    """
    stated = {(c.name, licence): terms(licence) for c in checkpoints for licence in c.licences}
    found = [
        f"{name!r} is under {licence}, which does not allow passing on changed versions: keep this merge to yourself."
        for (name, licence), asked in stated.items()
        if not asked.changes
    ]
    if len({licence for _, licence in stated}) < 2:
        return tuple(found)
    if not all(not asked.commercial for asked in stated.values()):
        found += [
            f"{name!r} is under {licence}: the merged model may only be used non-commercially."
            for (name, licence), asked in stated.items()
            if not asked.commercial
        ]
    return (*found, *_own_terms(stated), *_same_licence(stated))


def _own_terms(stated: dict[tuple[str, str], Terms]) -> list[str]:
    """Licences of a maker's own: all of their terms hold at once."""
    by_licence = {licence: name for (name, licence), asked in reversed(stated.items()) if asked.own}
    if not by_licence:
        return []
    each = " and ".join(f"{licence} ({name!r})" for licence, name in sorted(by_licence.items()))
    return [f"The terms of {each} go with the merged model, beside those of its other parents: read them first."]


def _same_licence(stated: dict[tuple[str, str], Terms]) -> list[str]:
    """Licences that ask for the very same licence: two of them cannot both be obeyed, nor one beside further terms."""
    asking = {licence: name for (name, licence), asked in reversed(stated.items()) if asked.same}
    if not asking:
        return []
    each = " and ".join(f"{licence} ({name!r})" for licence, name in sorted(asking.items()))
    others = [licence for (_, licence), asked in stated.items() if asked != _FREE and licence not in asking]
    if len(asking) > 1 or others:
        return [
            f"{each} must be kept by whatever is made of it, which may not go together with the other licences: "
            "ask before passing the merged model on."
        ]
    return [f"The merged model must be under {each} when it is passed on."]
