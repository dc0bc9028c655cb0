"""Whether checkpoints can be merged, from config and headers alone: no weight has to be here for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from merging import layout
from merging.errors import CompatibilityError
from merging.licences import conflicts

if TYPE_CHECKING:
    from merging.checkpoint import Outline


@dataclass(frozen=True)
class Report:
    """What config and headers tell about merging some checkpoints.

    Attributes:
        problems: Why they cannot be merged layer for layer, one sentence each; empty where they can.
        warnings: What may surprise, one sentence each.
        vocabularies_differ: Whether rows of embedding or head do not line up, which tokenizer_source can mend.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    vocabularies_differ: bool = False


def compatibility(checkpoints: "Sequence[Outline]", *, slices: bool = False, aligned: bool = False) -> Report:
    """Compare every checkpoint with the first.

    Args:
        checkpoints: Any number; their weights may still be on the hub.
        slices: Layers are picked one by one, so their number may differ.
        aligned: Vocabularies are aligned token by token, so they may differ.
    """
    first, problems, warnings, differ = checkpoints[0], [], [], False
    for other in checkpoints[1:]:
        pair = f"{first.name!r} and {other.name!r}"
        kinds = [c.config.get("model_type") for c in (first, other)]
        if kinds[0] != kinds[1]:
            problems.append(f"{pair} are of different architecture ({kinds[0]} and {kinds[1]}): they cannot be merged.")
            continue
        if first.layers != other.layers and not slices:
            problems.append(
                f"{pair} have {first.layers} and {other.layers} layers: merge slices of equal length instead."
            )
            continue
        found = _shape_problems(first, other, aligned=aligned)
        differ = differ or any(is_vocabulary for is_vocabulary, _ in found)
        problems += [text for _, text in found[:1]] or ([] if slices else _missing(first, other)[:1])
        hashes = first.tokenizer_hash(), other.tokenizer_hash()
        if not found and not aligned and None not in hashes and hashes[0] != hashes[1]:
            warnings.append(
                f"{pair} have different tokenizer files: check that the same token has the same number in both."
            )
    told = dict.fromkeys(words for checkpoint in checkpoints for words in checkpoint.caveats())
    return Report(tuple(problems), (*told, *conflicts(checkpoints), *warnings), differ)


def _shape_problems(first: "Outline", other: "Outline", *, aligned: bool) -> list[tuple[bool, str]]:
    found = []
    for name in sorted(set(first.headers) & set(other.headers)):
        one, two = first.shape(name), other.shape(name)
        if layout.is_vocabulary(name) and one[:1] != two[:1] and one[1:] == two[1:]:
            text = (
                f"{first.name!r} and {other.name!r} have vocabularies of {one[0]} and {two[0]} tokens ({name}): "
                "set tokenizer_source: union (or base, or one of the models) to align them."
            )
            if not aligned:
                found.append((True, text))
        elif one != two:
            text = (
                f"{name} has shape {one} in {first.name!r} and {two} in {other.name!r}: "
                "only models of one size can be merged."
            )
            found.insert(0, (False, text))
    return found


def _missing(first: "Outline", other: "Outline") -> list[str]:
    """Tensors that one of two has and the other has not, but for heads: a tied model need not store one."""
    odd = sorted(name for name in set(first.headers) ^ set(other.headers) if not layout.is_head(name))
    return [
        f"{(other if name in first.headers else first).name!r} has no tensor {name}, "
        "which another model of the merge has."
        for name in odd
    ]


def check_compatible(checkpoints: "Sequence[Outline]", *, slices: bool = False, aligned: bool = False) -> Report:
    """The report of checkpoints that can be merged.

    Raises:
        CompatibilityError: They cannot; the message is the first reason.
    """
    report = compatibility(checkpoints, slices=slices, aligned=aligned)
    if report.problems:
        raise CompatibilityError(report.problems[0])
    return report
