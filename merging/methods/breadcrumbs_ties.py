"""Model breadcrumbs, merged by elected sign (https://arxiv.org/abs/2312.06795, https://arxiv.org/abs/2306.01708)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from merging.knobs import DENSITY_BY_SIZE, LAMBDA, WEIGHT_IN_VOTE, normalize, rescale
from merging.methods.breadcrumbs import GAMMA, select
from merging.registry import Steps, method
from merging.steps import compose, elected, prepare_ordered

if TYPE_CHECKING:
    from torch import Tensor

STEPS = Steps(prepare_ordered, select, elected, each=True)


@method(
    "breadcrumbs_ties",
    title="Breadcrumbs-TIES",
    paper="https://arxiv.org/abs/2312.06795",
    summary="Breadcrumbs for experts that pull in opposite directions: each entry follows the majority.",
    formula="TIES of middle(δᵢ),  without the γ largest, density in all",
    inputs="base+models",
    steps=STEPS,
    weight=WEIGHT_IN_VOTE,
    density=DENSITY_BY_SIZE,
    gamma=GAMMA,
    lambda_=LAMBDA,
    normalize=normalize(False, "the weights that agree"),
    rescale=rescale(False),
)
def breadcrumbs_ties(
    base: "Tensor",
    models: Sequence["Tensor"],
    *,
    weight: Sequence[float],
    density: Sequence[float],
    gamma: Sequence[float],
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: bool = False,
) -> "Tensor":
    """Merge the middle magnitudes of the changes of `models` into `base`, keeping per entry only the elected sign.

    Arguments as in `breadcrumbs`, but that `normalize` divides by the sum of the weights that agree.

    Returns:
        float32 weights. All densities 0 give `base`.
    """
    shared = {"lambda": lambda_, "normalize": normalize, "rescale": rescale}
    own = {"weight": weight, "density": density, "gamma": gamma}
    return compose(STEPS, base, models, per_model=own, shared=shared)
