"""Whether the disk of a workspace has room for the volumes to come."""

import shutil
from pathlib import Path

from lidcflow.config import PreprocessConfig
from lidcflow.disk import nearest_folder
from lidcflow.errors import ResourceError
from lidcflow.store.address import StoreAddress

CANDIDATES_BYTES = 17 * 2**20
"""Size of 300 candidates of a series before compression, nearly all of it patches and cubes."""

SPARE_BYTES = 256 * 2**20
"""Room for the catalog, Prefect's and MLflow's databases beside the volumes."""


def check_room(volumes: int, workspace: Path, store: StoreAddress) -> None:
    """Refuse to start work that would fill the disk.

    Raises
    ------
    ResourceError
        If the disk of the workspace has less room than the volumes need uncompressed.
    """
    on_disk = volumes if store.folder else 0
    each_bytes = volume_bytes(store.preprocess) + (CANDIDATES_BYTES if store.candidates else 0)
    needed_bytes = on_disk * each_bytes + SPARE_BYTES
    free_bytes = shutil.disk_usage(nearest_folder(workspace)).free
    if free_bytes < needed_bytes:
        raise ResourceError(
            f"workspace {workspace}: {on_disk} volumes must fit on the disk, need {_gib(needed_bytes)}, "
            f"got {_gib(free_bytes)} free; free some, or choose another --workspace"
        )


def volume_bytes(shape: PreprocessConfig) -> int:
    """Return the size of a stored volume before compression: two channels of int16, at full and at half size.

    Examples
    --------
    >>> volume_bytes(PreprocessConfig())
    5324800
    """
    full = 2 * shape.slices * shape.size**2 * 2
    return full + full // 4


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"
