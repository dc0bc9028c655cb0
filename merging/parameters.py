"""Where each tensor of a checkpoint lives in a transformers module, so that merging can write it in place.

transformers keeps some tensors of a file fused in one parameter (the experts of a mixture: `experts.3.up_proj.weight`
is a part of `experts.gate_up_proj`) and renames others. Its own conversion, which it runs backwards to save a model, is
run here on the parameters themselves, in such a way that it cuts views out of them instead of copying.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from merging.errors import CheckpointError, brief

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from merging.plan import Plan

_OFFLINE = "merge to a folder with `python -m merging` instead."


class _Window(Tensor):
    """A parameter as transformers' conversion sees it: cuts stay views, and what would be a copy takes no memory."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.contiguous:
            return args[0]
        if func in (torch.cat, torch.stack):
            pieces = [piece.as_subclass(Tensor).to("meta") for piece in args[0]]
            return func(pieces, *args[1:], **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs or {})


def merge_targets(model: "PreTrainedModel", planned: "Plan") -> dict[str, Tensor]:
    """The memory of every merged tensor: a parameter, a stored buffer, or a contiguous part of one.

    Raises:
        CheckpointError: The merged tensors are not exactly what the module is made of.
    """
    stored = stored_tensors(model)
    places = _places(model, stored)
    # Files of a bare model (`wte.weight` of the first GPT-2) lack the prefix that it has under a head.
    prefix = f"{model.base_model_prefix}."
    places = {name.removeprefix(prefix): place for name, place in places.items()} | places
    targets = {}
    for job in planned.jobs:
        if job.name not in places:
            raise CheckpointError(f"transformers has no place for {job.name} in a model of this config: {_OFFLINE}")
        target = places[job.name]
        if tuple(target.shape) != tuple(job.shape):
            raise CheckpointError(
                f"{job.name} has shape {job.shape} in {planned.donor.name!r}, "
                f"but its config makes it {tuple(target.shape)}."
            )
        targets[job.name] = target
    _check_filled(stored, targets)
    return targets


def stored_tensors(model: "PreTrainedModel") -> dict[str, Tensor]:
    """Every parameter and stored buffer by its name in the module, tied ones once."""
    found: dict[str, Tensor] = dict(model.named_parameters())
    saved = set(model.state_dict())
    return found | {name: buffer for name, buffer in model.named_buffers() if name in saved}


def _places(model: "PreTrainedModel", stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Views of the stored tensors by their names in a file, beside the stored tensors by their names in the module."""
    windows: dict[str, Tensor] = {name: tensor.detach().as_subclass(_Window) for name, tensor in stored.items()}
    try:
        cut = revert_weight_conversion(model, windows)
    except (ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"transformers cannot name the tensors of this model: {brief(error)}; {_OFFLINE}"
        ) from error
    owners = {_memory(tensor) for tensor in stored.values()}
    found = dict(stored)
    for name, window in cut.items():
        view = window.as_subclass(Tensor)
        if view.device.type != "meta" and view.is_contiguous() and _memory(view) in owners:
            found[name] = view
    return found


def _check_filled(stored: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
    """Raise unless every element of the stored tensors is written by one target."""
    filled: dict[int, int] = {}
    for target in targets.values():
        filled[_memory(target)] = filled.get(_memory(target), 0) + target.numel()
    for name in sorted(stored):
        if filled.get(_memory(stored[name]), 0) < stored[name].numel():
            raise CheckpointError(f"transformers also needs {name} in a model of this config: {_OFFLINE}")
        if filled[_memory(stored[name])] > stored[name].numel():
            raise CheckpointError(f"The models hold {name} under two names: {_OFFLINE}")


def _memory(tensor: Tensor) -> int:
    """Which allocation a tensor lies in."""
    return tensor.untyped_storage().data_ptr()
