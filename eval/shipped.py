"""The measurements that come with the app: one file for each dtype that passes may run in, since text differs."""

from pathlib import Path

from eval.store import Store

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "results"


def path(dtype: str = "float32") -> Path:
    """Where measurements of passes in this dtype are shipped."""
    return FOLDER / ("embedded.jsonl" if dtype == "float32" else f"embedded-{dtype}.jsonl")


def files() -> list[Path]:
    """Every file that is shipped, float32 first."""
    return sorted(FOLDER.glob("embedded*.jsonl"), key=lambda found: (found != path(), found.name))


def bring(store: Store, folder: Path = FOLDER) -> None:
    """Have what is shipped in a store.

    Raises:
        StoreError: A line of a file is no measurement.
    """
    for found in sorted(folder.glob("embedded*.jsonl")):
        store.import_jsonl(found, origin="shipped")
