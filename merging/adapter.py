"""LoRA adapters as PEFT writes them: (alpha / r)·B·A in float32, unrounded (https://arxiv.org/abs/2106.09685)."""

import math
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.arithmetic import is_finite, product
from merging.errors import CheckpointError
from merging.folder import ADAPTER_CONFIG as CONFIG
from merging.folder import ADAPTER_WEIGHTS as WEIGHTS
from merging.folder import Header, digest, inside, read_headers, read_json, read_tensor, stamp
from merging.hub import is_hub_id

if TYPE_CHECKING:
    from torch import Tensor

_NAME = re.compile(
    r"^(?:base_model\.model\.)?(?P<module>.+?)\.(?:lora_(?P<part>[AB])\.weight|lora_embedding_(?P<emb>[AB]))$"
)
_FULL = re.compile(
    r"^(?:base_model\.model\.)?(?P<name>.+?)(?:\.base_layer|\.modules_to_save(?:\.default)?)?(?P<tail>\.weight|\.bias)$"
)
# Settings that change the arithmetic in ways not done here: refused unless they hold one of these values.
_PLAIN = {
    "use_dora": (False, None),
    "lora_bias": (False, None),
    "bias": ("none", None),
    "layer_replication": (None,),
    "target_parameters": (None, []),
    "trainable_token_indices": (None,),
    "alora_invocation_tokens": (None,),
    "use_qalora": (False, None),
    "use_bdlora": (None, False),
    "arrow_config": (None,),
}


@dataclass(frozen=True)
class LowRank:
    """scale · B·A of one tensor, read when needed.

    Attributes:
        down: Header and name of A, shape (rank, inputs).
        up: Header and name of B, shape (outputs, rank).
        scale: alpha / r, or alpha / √r.
        transposed: The stored weight is (inputs, outputs), so the product is turned.
        version: Stamp of the file: another file, another key.
    """

    down: tuple[Header, str]
    up: tuple[Header, str]
    scale: float
    transposed: bool
    version: Hashable

    @property
    def key(self) -> Hashable:
        """Equal keys are equal matrices."""
        return (self.version, self.down[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix."""
        rows, columns = self.up[0].shape[0], self.down[0].shape[1]
        return (columns, rows) if self.transposed else (rows, columns)

    def matrix(self, device: str = "cpu") -> "Tensor":
        """Scale · B·A, a new float32 matrix.

        Raises:
            CheckpointError: The adapter holds NaN or infinity.
        """
        down, up = (part.to(device) for part in self._halves())
        made = product(up, down).mul_(self.scale)
        return made.t().contiguous() if self.transposed else made

    def factors(self, device: str = "cpu") -> "tuple[Tensor, Tensor]":
        """(L, R), new float32 matrices of `rank` columns with L·Rᵀ = `matrix()` up to rounding.

        Raises:
            CheckpointError: The adapter holds NaN or infinity.
        """
        down, up = (part.to(device) for part in self._halves())
        left, right = up * self.scale, down.t().contiguous()
        return (right, left) if self.transposed else (left, right)

    def check(self) -> bool:
        """Read A and B, so that a bad file is found now.

        Raises:
            CheckpointError: The adapter holds NaN or infinity, or cannot be read.
        """
        return len(self._halves()) == 2

    def _halves(self) -> "tuple[Tensor, Tensor]":
        halves = []
        for header, name in (self.down, self.up):
            half = read_tensor(header, name).float().contiguous()
            if not is_finite(half):
                where = str(header.file)
                raise CheckpointError(f"{name} in {where!r} holds NaN or infinity: train or copy the adapter again.")
            halves.append(half)
        return halves[0], halves[1]


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter folder.

    Attributes:
        folder: Where it lies.
        base: Name of the model it was trained on, as its config says; None where it does not say.
        parts: Low-rank part of each tensor of the model it changes.
        replaced: Tensors it replaces as a whole (PEFT's modules_to_save), by their name in the model.
    """

    folder: Path
    base: str | None
    parts: Mapping[str, LowRank]
    replaced: Mapping[str, tuple[Header, str]]

    def content_hash(self) -> str:
        """sha256 of weights and config, 64 hex digits each."""
        return digest(inside(self.folder, WEIGHTS)) + digest(inside(self.folder, CONFIG))


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter."""
    return (folder / CONFIG).is_file()


def open_adapter(folder: Path, headers: Mapping[str, Header] | None = None) -> Adapter:
    """Read an adapter's config and headers; no weight is read.

    Args:
        folder: Where it lies.
        headers: Its headers, where its weights are not in the folder yet.

    Raises:
        CheckpointError: It is no plain LoRA adapter, or its files are damaged.
    """
    config = read_json(folder, CONFIG)
    _check(folder, config)
    version: Hashable = None
    if headers is None:
        file = inside(folder, WEIGHTS)
        if not file.is_file():
            raise CheckpointError(
                f"{str(folder)!r} has no {WEIGHTS}: adapters are read in safetensors format only. Convert a pickle "
                "where you trust it: PeftModel.from_pretrained(model, folder).save_pretrained(new_folder)."
            )
        headers, version = read_headers(file), stamp((file,))
    halves: dict[str, dict[str, tuple[Header, str]]] = {}
    replaced = {}
    for name, header in headers.items():
        if found := _NAME.match(name):
            kind = "embedding" if found["emb"] else "linear"
            halves.setdefault(f"{kind} {found['module']}", {})[found["part"] or found["emb"]] = (header, name)
        elif "lora_" not in name and (whole := _FULL.match(name)):
            replaced[whole["name"] + whole["tail"]] = (header, name)
        else:
            raise CheckpointError(f"The adapter {str(folder)!r} holds {name}, which is no plain LoRA weight.")
    parts = {}
    for label, pair in halves.items():
        kind, module = label.split(" ", 1)
        parts[f"{module}.weight"] = _part(folder, config, module, pair, version, embedding=kind == "embedding")
    return Adapter(folder, _base(config), parts, replaced)


def _base(config: Mapping[str, Any]) -> str | None:
    """Name of the model the adapter was trained on, at the revision it was trained on where the config pins one."""
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base:
        return None
    pinned = isinstance(revision, str) and revision and is_hub_id(base) and "@" not in base and not Path(base).exists()
    return f"{base}@{revision}" if pinned else base


def _check(folder: Path, config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"The adapter {str(folder)!r} is of type {config.get('peft_type')!r}: only LORA is read.")
    for key, plain in _PLAIN.items():
        if config.get(key) not in plain:
            raise CheckpointError(
                f"The adapter {str(folder)!r} sets {key} to {config[key]!r}, which plain LoRA has not: "
                "merge it with PEFT first (merge_and_unload, save_pretrained) and name the result."
            )


def _part(
    folder: Path,
    config: Mapping[str, Any],
    module: str,
    pair: Mapping[str, tuple[Header, str]],
    version: Hashable,
    *,
    embedding: bool,
) -> LowRank:
    if set(pair) != {"A", "B"}:
        raise CheckpointError(f"The adapter {str(folder)!r} has only half of the LoRA weights of {module}.")
    down, up = pair["A"], pair["B"]
    if len(down[0].shape) != 2 or len(up[0].shape) != 2 or down[0].shape[0] != up[0].shape[1]:
        raise CheckpointError(
            f"The LoRA weights of {module} in {str(folder)!r} do not fit: {down[0].shape}, {up[0].shape}."
        )
    rank = _number(folder, config, "r", "rank_pattern", module)
    if rank != down[0].shape[0]:
        raise CheckpointError(f"{module} in {str(folder)!r} has rank {down[0].shape[0]}, but its config says {rank:g}.")
    alpha = _number(folder, config, "lora_alpha", "alpha_pattern", module)
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return LowRank(down, up, scale, embedding or bool(config.get("fan_in_fan_out")), version)


def _number(folder: Path, config: Mapping[str, Any], key: str, pattern_key: str, module: str) -> float:
    """The rank or alpha of a module: the first pattern that matches the end of its name, else the general one."""
    patterns = config.get(pattern_key) or {}
    value = config.get(key)
    for pattern, special in patterns.items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                value = special
                break
        except re.error as error:
            raise CheckpointError(
                f"{pattern_key} of {str(folder)!r} holds {pattern!r}, which is no pattern."
            ) from error
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or (key == "r" and value < 1)
    ):
        raise CheckpointError(f"The adapter {str(folder)!r} has {key} = {value!r} for {module}: it must be a number.")
    return value
