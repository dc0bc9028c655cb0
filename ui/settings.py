"""What the environment says about this run of the app: where things are kept, which device, what may be read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.types import DTYPES
from merging import chat_template
from merging.errors import RecipeError

FAMILY = ("zoo:base", "zoo:general", "zoo:safety", "zoo:mix-15")


@dataclass(frozen=True)
class Settings:
    """One run's settings; `from_environment` reads them, tests build them.

    Attributes:
        store: SQLite file with this machine's measurements.
        device: A torch device name, "cpu" or "cuda".
        dtype: In which dtype passes run: "recipe" (the merge's own), "float32", or "auto" for what is fast here.
        threads: CPU threads of merges and forward passes; None leaves torch's choice.
        models: Checkpoints offered in the pickers and kept resident.
        folders: The only folders from which a visitor's recipe may read local checkpoints.
        hub: Whether a visitor's recipe may name a hub repository that is not in `models`.
    """

    store: Path
    device: str = "cpu"
    dtype: str = "auto"
    threads: int | None = None
    models: tuple[str, ...] = FAMILY
    folders: tuple[Path, ...] = ()
    hub: bool = True

    @classmethod
    def from_environment(cls, home: Path, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read MERGE_FRONTIER_DEVICE, _DTYPE, _THREADS, _MODELS (comma separated), _FOLDERS (like PATH), _HUB (0 or 1).

        Without _MODELS the embedded family is served. On a public Space (SPACE_ID is set) strangers may not make the
        server download whatever they name, so _HUB is off there unless it is set.

        Raises:
            RecipeError: MERGE_FRONTIER_THREADS is not a positive whole number, or _DTYPE is unknown.
        """
        threads = environ.get("MERGE_FRONTIER_THREADS", "").strip()
        if threads and (not threads.isdecimal() or int(threads) == 0):
            raise RecipeError(f"MERGE_FRONTIER_THREADS is {threads!r}: give a positive whole number, or leave it out.")
        dtype = environ.get("MERGE_FRONTIER_DTYPE", "").strip() or DTYPES[0]
        if dtype not in DTYPES:
            raise RecipeError(f"MERGE_FRONTIER_DTYPE is {dtype!r}: give one of {', '.join(DTYPES)}, or leave it out.")
        models = tuple(name.strip() for name in environ.get("MERGE_FRONTIER_MODELS", "").split(",") if name.strip())
        folders = environ.get("MERGE_FRONTIER_FOLDERS", "models").split(os.pathsep)
        return cls(
            store=home / "measurements.sqlite",
            device=environ.get("MERGE_FRONTIER_DEVICE", "cpu"),
            dtype=dtype,
            threads=int(threads) if threads else None,
            models=models or FAMILY,
            folders=tuple(Path(folder).expanduser().resolve() for folder in folders if folder),
            hub=environ.get("MERGE_FRONTIER_HUB", "0" if environ.get("SPACE_ID") else "1") != "0",
        )

    def refuse_foreign(self, name: str) -> None:
        """Say no to a checkpoint that a visitor may not have read; silent when it is fine.

        Raises:
            RecipeError: The name is a local path outside `folders`, or a hub id while `hub` is off.
        """
        for part in name.split("+"):
            if part in self.models or part.startswith("zoo:"):
                continue
            path = Path(part).expanduser()
            if path.exists() or path.is_absolute() or part.startswith((".", "~")) or part.count("/") != 1:
                if any(path.resolve().is_relative_to(folder) for folder in self.folders):
                    continue
                allowed = ", ".join(str(folder) for folder in self.folders) or "none"
                raise RecipeError(
                    f"{part!r} lies outside the folders this app may read ({allowed}). Put the checkpoint there, or "
                    "start the app with MERGE_FRONTIER_FOLDERS set."
                )
            if not self.hub:
                offered = ", ".join(self.models)
                raise RecipeError(f"{part!r} is not served here. Choose one of {offered}, or run the app yourself.")

    def refuse_foreign_template(self, template: str | None) -> None:
        """Say no to a visitor's own Jinja where `hub` is off: the sandbox guards files and code, but not time.

        Raises:
            RecipeError: The template is neither one of the models' nor a built-in one.
        """
        if not self.hub and template not in (None, "auto", *chat_template.BUILT_IN):
            names = ", ".join(("auto", *sorted(chat_template.BUILT_IN)))
            raise RecipeError(
                f"A chat_template of your own is not run here. Choose one of {names}, or run the app yourself."
            )
