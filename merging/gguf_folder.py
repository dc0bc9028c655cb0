"""GGUF files as ordinary checkpoints: converted once, tensor by tensor, into a folder of the cache.

    models/tiny.gguf               a file here
    models/tiny                    a folder with one GGUF file and no safetensors
    org/repo:tiny-Q8_0.gguf        a file on the hub
    org/repo@main:tiny-Q8_0.gguf   the same at a revision

Names, config and tokenizer follow transformers' own reading of the format, its undoing of llama.cpp's reordered
attention rows included. Values of a quantised type become float32, exactly; 16-bit types stay what they are.
"""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from merging.errors import CheckpointError, brief
from merging.folder import INDEX, stamp
from merging.zoo import home

if TYPE_CHECKING:
    from gguf import GGUFReader
    from torch import Tensor
    from transformers import PreTrainedConfig

SHARD_BYTES = 2 * 10**9
MARK = "gguf.json"
# Raise when the code that converts changes what it writes: cached folders are then made again.
_BUILD = 1
# Sizes in a GGUF header that transformers' reading of it leaves at a default.
_EXPERTS = {
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
}
_PLAIN = ("F32", "F16", "BF16", "F64")


def converted(file: Path) -> Path:
    """The folder with the model of a GGUF file in safetensors format, made now unless the cache has it.

    Raises:
        CheckpointError: It is no GGUF file, or of an architecture that transformers does not read.
    """
    cache = home() / "gguf"
    folder = cache / hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]
    mark = {"build": _BUILD, "file": list(stamp((file.resolve(),))[0])}
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if _mark(folder).items() >= mark.items():
                return folder
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as scratch:
                made = Path(scratch) / "model"
                made.mkdir()
                mark |= _convert(file, made)
                (made / MARK).write_text(json.dumps(mark), encoding="utf-8")
                shutil.rmtree(folder, ignore_errors=True)
                made.replace(folder)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"Cannot convert {str(file)!r} into {str(cache)!r}: {reason}.") from error
    return folder


def caveats(folder: Path) -> tuple[str, ...]:
    """What may surprise in a converted model, in words that follow its name; empty for any other folder."""
    mark = _mark(folder)
    found = []
    if mark.get("types"):
        types = ", ".join(mark["types"])
        found.append(f"comes from a quantised file ({types}): its weights are near those it was made of, not equal.")
    if mark.get("tokenizer"):
        found.append(f"has a tokenizer that transformers cannot read from its GGUF file ({mark['tokenizer']}).")
    return tuple(found)


def _mark(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _convert(file: Path, out: Path) -> dict[str, Any]:
    """Write config, tokenizer and weights; returns what `caveats` tells of."""
    from gguf import GGUFReader
    from transformers import AutoConfig

    try:
        with file.open("rb") as stream:
            if stream.read(4) != b"GGUF":
                raise CheckpointError(f"{str(file)!r} is no GGUF file: copy or download it again.")
        reader = GGUFReader(file)
        if "split.count" in reader.fields and int(reader.fields["split.count"].contents()) > 1:
            raise CheckpointError(f"{str(file)!r} is one of several parts: join them with `llama-gguf-split --merge`.")
        config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
        for key, attribute in _EXPERTS.items():
            field = reader.fields.get(f"{reader.fields['general.architecture'].contents()}.{key}")
            if field is not None and hasattr(config, attribute):
                setattr(config, attribute, int(field.contents()))
        _write_weights(_hub_tensors(reader, config, str(file)), out)
    except (ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise CheckpointError(
            f"{str(file)!r} cannot be read as a GGUF model by transformers ({brief(error)}): name the model it was "
            "made of instead."
        ) from error
    config.save_pretrained(out)
    types = sorted({t.tensor_type.name for t in reader.tensors} - set(_PLAIN))
    return {"types": types, "tokenizer": _write_tokenizer(file, out)}


def _write_tokenizer(file: Path, out: Path) -> str | None:
    """Write the tokenizer in the file; why it could not be, None where it could."""
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(out)
    except (ValueError, KeyError, TypeError, OSError, AttributeError, ImportError) as error:
        return brief(error)
    return None


def _hub_tensors(reader: "GGUFReader", config: "PreTrainedConfig", where: str) -> "Iterator[tuple[str, Tensor]]":
    """Every tensor by its name in a safetensors file of the architecture.

    Raises:
        CheckpointError: The file lacks a tensor of its architecture.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.core_model_loading import revert_weight_conversion

    from merging.parameters import stored_tensors

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    missing = {name: tensor.shape for name, tensor in stored_tensors(model).items()}
    for name, tensor in _module_tensors(reader, model):
        if name not in missing:
            continue  # rope frequencies and the like, which a model computes again
        if tensor.shape != (wanted := missing.pop(name)):
            raise CheckpointError(
                f"{name} has shape {tuple(tensor.shape)} in {where!r}, but its header makes it {tuple(wanted)}: "
                "name the model it was made of instead."
            )
        yield from revert_weight_conversion(model, {name: tensor}).items()
    if missing:
        raise CheckpointError(f"{where!r} lacks {sorted(missing)[0]}, which its architecture needs: download it again.")


def _module_tensors(reader: "GGUFReader", model: Any) -> "Iterator[tuple[str, Tensor]]":
    """Every tensor by its name in the module; experts come once all parts of their fused parameter are read."""
    import numpy as np
    import torch
    from gguf.quants import dequantize
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    architecture = str(reader.fields["general.architecture"].contents())
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=model.config.to_dict())
    names = get_gguf_hf_weights_map(model, processor)
    fused: dict[str, Tensor] = {}  # where the processor itself puts experts, part by part
    awaited = Counter(names.values())
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        done = processor.process(
            weights=values, name=tensor.name, tensor_key_mapping=names, parsed_parameters={"tensors": fused}
        )
        if done.name in names:
            exact = torch.from_numpy(np.require(done.weights, requirements=["C", "W"]))
            yield names[done.name], exact.to(_dtype(tensor.tensor_type.name, exact))
        target = names.get(tensor.name.removesuffix(".weight"), "lm_head.weight")
        if done.name is None and target in fused:
            awaited[target] -= 1
            if awaited[target] <= 0:
                yield target, fused[target].to(_dtype(tensor.tensor_type.name, fused.pop(target)))


def _dtype(kind: str, tensor: "Tensor") -> "Any":
    """16-bit matrices stay as they are; norms, which are stored as 1 + w, and quantised values are float32."""
    import torch

    half = {"F16": torch.float16, "BF16": torch.bfloat16} if tensor.dim() > 1 else {}
    return half.get(kind, torch.float32)


def _write_weights(tensors: "Iterator[tuple[str, Tensor]]", out: Path) -> None:
    """Safetensors shards and their index, one shard in memory at a time."""
    from safetensors.torch import save_file

    places: dict[str, str] = {}
    held: dict[str, Tensor] = {}
    number = 0

    def flush() -> None:
        nonlocal number
        number += 1
        file = f"model-{number:05}.safetensors"
        save_file(held, out / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(held, file))
        held.clear()

    for name, tensor in tensors:
        held[name] = tensor.contiguous()
        if sum(one.nbytes for one in held.values()) >= SHARD_BYTES:
            flush()
    if held:
        flush()
    (out / INDEX).write_text(json.dumps({"weight_map": places}), encoding="utf-8")
