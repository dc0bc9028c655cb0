"""Rules for single tokens of an aligned vocabulary (`tokenizer: tokens:`): which row of which model a token takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from merging.arithmetic import spans, thread_count
from merging.errors import CompatibilityError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

MOST_PADDING = 65536
_ROWS = 4096  # of a matrix that are widened to float64 at once


@dataclass(frozen=True)
class TokenRule:
    """What the recipe says of one token; a token that no tokenizer knows is added to the vocabulary.

    Attributes:
        token: Its text.
        model: The model whose row it takes; None for the usual row (the base's, the only owner's, the owners' mean).
        row: The token in that model, by text or by number.
        zero: It takes a row of zeros.
        force: The row holds for every model, not only for those that lack the token.
    """

    token: str
    model: str | None = None
    row: str | int | None = None
    zero: bool = False
    force: bool = False


@dataclass(frozen=True)
class Pick:
    """A rule with its row found.

    Attributes:
        token: The token's text.
        place: Its row in the merged vocabulary.
        model: The model that lends the row; None for zeros, or for the usual row.
        row: Its row in that model.
        zero: The row is zeros.
        force: It holds for every model.
    """

    token: str
    place: int
    model: str | None
    row: int
    zero: bool
    force: bool

    @property
    def is_usual(self) -> bool:
        """Whether the token takes the row it would take without a rule: the base's, the only owner's, the mean."""
        return self.model is None and not self.zero


def find(
    rules: Sequence[TokenRule], merged: Mapping[str, int], models: Mapping[str, Mapping[str, int]], known: set[str]
) -> tuple[Pick, ...]:
    """Every rule with its row.

    Args:
        rules: The recipe's.
        merged: Row of each token in the merged vocabulary, the rules' own tokens among them.
        models: Row of each token in every model that lends one.
        known: The tokens that one of the merged models has.

    Raises:
        CompatibilityError: A row is not there; the message names the token.
    """
    found = []
    for rule in rules:
        row = rule.row
        if isinstance(row, str) and rule.model is not None:
            lender = models[rule.model]
            if row not in lender:
                raise CompatibilityError(
                    f"tokenizer.tokens takes {rule.token!r} from {rule.model!r}, whose tokenizer has no {row!r}."
                    f"{did_you_mean(row, lender)} Name a model that has it, or write `source: {{kind: zero}}`."
                )
            row = lender[row]
        if rule.model is None and not rule.zero and rule.token not in known:
            raise CompatibilityError(
                f"tokenizer.tokens lists {rule.token!r}, which no model of the merge knows: "
                "give it a `source` (a model_token, or `kind: zero`)."
            )
        found.append(Pick(rule.token, merged[rule.token], rule.model, int(row or 0), rule.zero, rule.force))
    return tuple(found)


def check_rows(name: str, picks: Sequence[Pick], lengths: Mapping[str, int]) -> None:
    """Refuse a row that the lender's matrix does not have.

    Args:
        name: Name of the matrix.
        picks: The rules.
        lengths: Rows of each lender's matrix.

    Raises:
        CompatibilityError: The message names the token.
    """
    for pick in picks:
        if pick.model is not None and pick.row >= lengths[pick.model]:
            raise CompatibilityError(
                f"tokenizer.tokens takes {pick.token!r} from row {pick.row} of {pick.model!r}, "
                f"whose {name} has {lengths[pick.model]} rows: give a smaller token_id."
            )


def lend(merged: "Tensor", lacks: "Tensor", picks: Sequence[Pick], lenders: "Mapping[str, Tensor]") -> None:
    """Write the rows of the rules into one model's aligned matrix, in place.

    Args:
        merged: The matrix, float32, tokens x columns.
        lacks: Which tokens the model does not have itself.
        picks: The rules.
        lenders: The matrices that rows are taken from.
    """
    for pick in picks:
        if pick.is_usual or not (pick.force or bool(lacks[pick.place])):
            continue
        if pick.model is None:
            merged[pick.place] = 0
        else:
            merged[pick.place] = lenders[pick.model][pick.row]


def pad(matrix: "Tensor", rows: int) -> "Tensor":
    """A matrix with so many rows: those behind its own are the mean of all of its own."""
    import torch

    if matrix.shape[0] == rows:
        return matrix
    total = torch.zeros(matrix.shape[1:], dtype=torch.float64, device=matrix.device)
    with thread_count(1):  # sums in one order, whatever the number of threads
        for start, end in spans(matrix.shape[0], _ROWS):
            total += matrix[start:end].double().sum(0)
    mean = (total / matrix.shape[0]).to(matrix.dtype)
    return torch.cat([matrix, mean.expand(rows - matrix.shape[0], *mean.shape)])
