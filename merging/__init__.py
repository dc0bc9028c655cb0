"""Weights: recipes, methods, checkpoints, live and offline merge.

`Recipe` is imported at once and needs no torch; `LiveModel`, `Applied`, `Pool` and `merge_to_folder` load torch when
first used.
"""

from typing import TYPE_CHECKING

from merging.recipe import Recipe

if TYPE_CHECKING:
    from merging.live import Applied, LiveModel
    from merging.offline import merge_to_folder
    from merging.pool import Pool

__all__ = ["Applied", "LiveModel", "Pool", "Recipe", "merge_to_folder"]
_ROOMS = {
    "Applied": "merging.live",
    "LiveModel": "merging.live",
    "Pool": "merging.pool",
    "merge_to_folder": "merging.offline",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'merging' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ROOMS[name]), name)
