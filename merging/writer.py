"""Writes safetensors files, one tensor in memory at a time; a file has its name once it is complete and on the disk."""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.disk import Output, Record
from merging.folder import INDEX, SINGLE

if TYPE_CHECKING:
    from torch import Tensor

SHARD_BYTES = 5 * 10**9
_WORDS = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
Shapes = Mapping[str, Sequence[int]]


def shards(shapes: Shapes, dtype: str, limit: int) -> dict[str, list[str]]:
    """Names of the tensors of each file, in order; no file over `limit` bytes unless one tensor is."""
    groups: list[list[str]] = [[]]
    used = 0
    for name, shape in shapes.items():
        size = tensor_bytes(shape, dtype)
        if groups[-1] and used + size > limit:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size
    if len(groups) == 1:
        return {SINGLE: groups[0]}
    return {f"model-{i:05}-of-{len(groups):05}.safetensors": group for i, group in enumerate(groups, 1)}


def tensor_bytes(shape: Sequence[int], dtype: str) -> int:
    """Bytes of a tensor."""
    count = _BYTES[dtype]
    for size in shape:
        count *= size
    return count


def file_bytes(shapes: Shapes, dtype: str) -> int:
    """Bytes of the safetensors file of some tensors."""
    return len(_header(shapes, dtype)) + sum(tensor_bytes(shape, dtype) for shape in shapes.values())


def write_shard(path: Path, shapes: Shapes, dtype: str, tensors: Iterable["Tensor"]) -> Record:
    """Write one safetensors file under a temporary name, and rename it when all of it is on the disk.

    Args:
        path: Its name.
        shapes: Shape of each tensor by name, in the order they are written.
        dtype: float32, bfloat16 or float16, of all of them.
        tensors: The tensors in that order; each may be overwritten once the next is asked for.

    Raises:
        OSError: The disk refuses.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with Output(temporary) as file:
        file.write(_header(shapes, dtype))
        for tensor in tensors:
            file.write(_raw(tensor))
        record = file.close()
    temporary.replace(path)
    return record


def write_index(folder: Path, files: Mapping[str, Sequence[str]], shapes: Shapes, dtype: str) -> None:
    """Write the index of a model of several files; of a single one there is none."""
    if len(files) > 1:
        total = sum(tensor_bytes(shape, dtype) for shape in shapes.values())
        places = {name: file for file, members in files.items() for name in members}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def _header(shapes: Shapes, dtype: str) -> bytes:
    tree: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + tensor_bytes(shape, dtype)
        tree[name] = {"dtype": _WORDS[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data aligned to 8 bytes
    return struct.pack("<Q", len(text)) + text


def _raw(tensor: "Tensor") -> memoryview:
    import torch

    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a JSON object, indented."""
    path.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
