"""Checkpoints by hub id, through huggingface_hub: config, tokenizer and safetensors are fetched, never a pickle."""

import re
from pathlib import Path

from merging.errors import CheckpointError, brief

_ID = re.compile(r"^(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?$")
PATTERNS = ["*.json", "*.safetensors", "tokenizer.model", "spiece.model", "merges.txt", "vocab.txt", "*.jinja"]
NOT_PATTERNS = ["*/*"]  # other formats live in subfolders ("original/", "onnx/")


def is_hub_id(name: str) -> bool:
    """Whether a name reads as `org/repo` or `org/repo@revision`."""
    return bool(_ID.match(name)) and not name.endswith((".yaml", ".yml", ".safetensors"))


def fetch(name: str) -> Path:
    """The folder of a hub checkpoint, downloaded unless the hub's cache has it (HF_HUB_OFFLINE: the cache only).

    Raises:
        CheckpointError: It cannot be had; the message says what to do.
    """
    import httpx
    from huggingface_hub import errors, snapshot_download

    found = _ID.match(name)
    if not found:
        raise CheckpointError(f"{name!r} is no hub id: write org/repo or org/repo@revision.")
    repo, revision = found["repo"], found["revision"]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=PATTERNS, ignore_patterns=NOT_PATTERNS))
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{repo!r} asks for its terms to be accepted: do so on its page, then log in with `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo!r} has no revision {revision!r} on the hub.") from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"There is no folder {name!r} here and no such model on the hub (a private one needs `hf auth login`)."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise CheckpointError(
            f"There is no folder {name!r} here, and the hub cannot be reached, nor is the model in its cache: "
            "name a local folder, or connect (and unset HF_HUB_OFFLINE)."
        ) from error
    except (errors.HfHubHTTPError, errors.HFValidationError, httpx.HTTPError, OSError) as error:
        raise CheckpointError(f"Cannot fetch {name!r} from the hub: {brief(error)}.") from error
