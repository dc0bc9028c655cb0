"""Files of data sets on the hub: the commit is found out first, then only the files asked for are fetched."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from eval.errors import ProbeError
from merging.errors import brief

READABLE = (".jsonl", ".csv", ".parquet")
MAX_BYTES = 100_000_000


@dataclass(frozen=True)
class Fetched:
    """A folder with files of one commit."""

    folder: Path
    commit: str

    def matching(self, pattern: str) -> list[Path]:
        """The files a pattern names, sorted."""
        return sorted(self.folder.glob(pattern))


def fetch(repo: str, revision: str | None, patterns: Sequence[str]) -> Fetched:
    """The files of a data set that patterns name, from the hub or its cache; nothing but JSONL, CSV and parquet.

    Args:
        repo: `org/name`.
        revision: Commit, tag or branch; None for the commit that `main` points at.
        patterns: Paths in the repository, with `*`.

    Raises:
        ProbeError: They cannot be had; the message says what to do.
    """
    from huggingface_hub import snapshot_download

    if wrong := [pattern for pattern in patterns if not pattern.endswith(READABLE)]:
        raise ProbeError(f"{repo}: {wrong[0]} is none of {', '.join(READABLE)}, and nothing else is read.")
    with _plainly(repo, revision):
        _check(repo, revision, patterns)
        folder = snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=list(patterns))
    return Fetched(Path(folder), Path(folder).name)


def _check(repo: str, revision: str | None, patterns: Sequence[str]) -> None:
    """Are the files there, and none too large? Unasked where the hub cannot be reached: the cache must do then.

    Raises:
        ProbeError: A file is missing or too large.
    """
    import httpx
    from huggingface_hub import HfApi, errors

    try:
        info = HfApi().dataset_info(repo, revision=revision, files_metadata=True)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise
    except (errors.OfflineModeIsEnabled, errors.HfHubHTTPError, httpx.HTTPError, OSError):
        return
    for pattern in patterns:
        sizes = [entry.size or 0 for entry in info.siblings or () if fnmatch(entry.rfilename, pattern)]
        if not sizes:
            raise ProbeError(f"{repo} has no file {pattern} at {str(info.sha)[:12]}; name a @revision that has it.")
        if sum(sizes) > MAX_BYTES:
            raise ProbeError(f"{repo}: {pattern} is {sum(sizes) / 1e6:.0f} MB, more than {MAX_BYTES / 1e6:.0f}.")


@contextmanager
def _plainly(repo: str, revision: str | None) -> Iterator[None]:
    """Turn the library's errors into sentences.

    Raises:
        ProbeError: In place of any of them.
    """
    import httpx
    from huggingface_hub import errors

    page = f"https://huggingface.co/datasets/{repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise ProbeError(
            f"{repo} asks for its terms to be accepted: do so on {page}, then log in with `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ProbeError(f"{repo} has no revision {revision!r} on the hub.") from error
    except errors.RepositoryNotFoundError as error:
        raise ProbeError(f"There is no data set {repo} on the hub (a private one needs `hf auth login`).") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ProbeError(
            f"The hub cannot be reached, and {repo} is not in its cache: connect (and unset HF_HUB_OFFLINE), "
            f"or download the set from {page} elsewhere and give it as a .jsonl or .csv file."
        ) from error
    except (errors.HfHubHTTPError, errors.HFValidationError, httpx.HTTPError, OSError) as error:
        raise ProbeError(f"Cannot fetch {repo} from the hub: {brief(error)}.") from error
