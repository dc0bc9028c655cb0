"""Writes a model folder so that it is complete or not there: into a temporary folder beside it, renamed at the end."""

import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.errors import WriteError
from merging.folder import INDEX, SINGLE

if TYPE_CHECKING:
    from torch import Tensor

SHARD_BYTES = 5 * 10**9
_WORDS = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that becomes `out` when the block ends well, and is removed when it does not.

    Raises:
        WriteError: `out` exists and is not an empty folder, or the disk refuses.
    """
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise WriteError(f"Cannot write beside {str(out)!r}: {error.strerror or error}.") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        check_free(out)
        temporary.replace(out)  # an empty folder may be replaced, a full one may not
    except OSError as error:
        raise WriteError(f"Cannot write {str(out)!r}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_free(out: Path) -> None:
    """Raise WriteError unless `out` is free to be written."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise WriteError(f"{str(out)!r} exists and is not an empty folder: name another one, or remove it.")


def shards(shapes: Mapping[str, Sequence[int]], dtype: str, limit: int) -> list[list[str]]:
    """Names of the tensors of each file, in order; no file over `limit` bytes unless one tensor is."""
    files: list[list[str]] = [[]]
    used = 0
    for name, shape in shapes.items():
        size = tensor_bytes(shape, dtype)
        if files[-1] and used + size > limit:
            files.append([])
            used = 0
        files[-1].append(name)
        used += size
    return files


def tensor_bytes(shape: Sequence[int], dtype: str) -> int:
    """Bytes of a tensor."""
    count = _BYTES[dtype]
    for size in shape:
        count *= size
    return count


def write_weights(
    folder: Path, shapes: Mapping[str, Sequence[int]], dtype: str, tensors: Iterable["Tensor"], limit: int = SHARD_BYTES
) -> None:
    """Write safetensors files, one tensor in memory at a time.

    Args:
        folder: Where to.
        shapes: Shape of each tensor by name, in the order they are written.
        dtype: float32, bfloat16 or float16, of all of them.
        tensors: The tensors in that order.
        limit: Most bytes of a file.
    """
    files = shards(shapes, dtype, limit)
    names = (
        [SINGLE] if len(files) == 1 else [f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))]
    )
    source = iter(tensors)
    for file, members in zip(names, files, strict=True):
        with (folder / file).open("wb") as stream:
            stream.write(_header({name: shapes[name] for name in members}, dtype))
            for _ in members:
                stream.write(_raw(next(source)))
            stream.flush()
            os.fsync(stream.fileno())
    if len(files) > 1:
        total = sum(tensor_bytes(shape, dtype) for shape in shapes.values())
        places = {name: file for file, members in zip(names, files, strict=True) for name in members}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def _header(shapes: Mapping[str, Sequence[int]], dtype: str) -> bytes:
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
