"""Keep MLflow's database in step with the folder of its workspace after a move or a copy.

MLflow stores the places of artifacts as absolute paths. The database remembers by which names its workspace is known,
so that exactly the places below a former name are rewritten; places elsewhere, such as a bucket, stay as they are.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lidcflow.errors import ResourceError

ARTIFACTS = Path("mlflow", "artifacts")
DATABASE = Path("mlflow", "mlflow.db")
BUSY_S = 30.0

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("datasets", "dataset_source"),
    ("trace_tags", "value"),
    ("workspaces", "default_artifact_root"),
    ("workspaces", "trace_archival_location"),
)
"""Tables and columns in which MLflow 3 keeps places of artifacts; earlier versions lack some."""

_NAMES = """
CREATE TABLE IF NOT EXISTS lidcflow_workspace (
    root TEXT PRIMARY KEY, since TEXT NOT NULL, until TEXT
)
"""


def former_roots(workspace: Path) -> list[Path]:
    """Return the folders that MLflow's database takes for its workspace and that are not this folder.

    A name that leads to the same folder, such as a link or a mount, is not among them: its places are still right.

    Parameters
    ----------
    workspace : Path
        Where the workspace lies now.

    Returns
    -------
    list of Path
        Empty where nothing has moved, and where there is no database.
    """
    file = workspace.absolute() / DATABASE
    if not file.is_file():
        return []
    try:
        with _opened(file, "ro") as database:
            return [root for root in _roots(database) if not _is_same_folder(root, workspace)]
    except sqlite3.Error:
        return []  # MLflow says what is wrong with its database


def rewrite(workspace: Path) -> int:
    """Rewrite the places below former roots to the present one, in one transaction; call it while nothing else runs.

    Returns
    -------
    int
        Places that were rewritten.

    Raises
    ------
    ResourceError
        If the database can't be written.
    """
    here = workspace.absolute()
    try:
        with _opened(here / DATABASE, "rw") as database:
            database.execute("BEGIN IMMEDIATE")
            former = [root for root in _roots(database) if not _is_same_folder(root, workspace)]
            count = sum(_rewritten(database, table, column, former, here) for table, column in PLACES)
            _note(database, former, here)
            database.execute("COMMIT")
    except sqlite3.Error as error:
        raise ResourceError(
            f"workspace {here}: was moved or copied, so its MLflow database must be writable to name the new folder, "
            f"got '{error}'; make {DATABASE} writable, or work on a copy that is"
        ) from None
    return count


@contextmanager
def _opened(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with closing(
        sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None)
    ) as database:
        yield database


def _roots(database: sqlite3.Connection) -> list[Path]:
    """Return the present names of the workspace, else those in the paths of its experiments."""
    tables = _tables(database)
    if "lidcflow_workspace" in tables:
        return [Path(root) for (root,) in database.execute("SELECT root FROM lidcflow_workspace WHERE until IS NULL")]
    if "experiments" not in tables:
        return []
    places = database.execute("SELECT DISTINCT artifact_location FROM experiments ORDER BY experiment_id")
    return [root for (place,) in places if (root := _root_of(place))]


def _root_of(place: str | None) -> Path | None:
    """Return the workspace whose experiments have an artifact place of lidcflow's form, ``file:///.../mlflow/artifacts``.

    Examples
    --------
    >>> _root_of("file:///data/ws/mlflow/artifacts").name, _root_of("s3://bucket/mlflow/artifacts")
    ('ws', None)
    """
    parts = urlsplit(place or "")
    path = Path(unquote(parts.path))
    own = parts.scheme == "file" and path.is_absolute() and path.parts[-2:] == ARTIFACTS.parts
    return path.parents[1] if own else None


def _tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _rewritten(database: sqlite3.Connection, table: str, column: str, former: Collection[Path], here: Path) -> int:
    known = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
    if column not in known or not former:
        return 0
    beginnings = {old + "/": new + "/" for root in former for old, new in _forms(root, here).items()}
    # A place is the whole value, or a string of a JSON document.
    pattern = re.compile(rf'(^|")({"|".join(map(re.escape, sorted(beginnings, key=len, reverse=True)))})')

    def moved(place: Any) -> Any:
        return pattern.sub(lambda found: found[1] + beginnings[found[2]], place) if isinstance(place, str) else place

    database.create_function("moved", 1, moved, deterministic=True)
    change = f'UPDATE "{table}" SET "{column}" = moved("{column}") WHERE "{column}" IS NOT moved("{column}")'  # noqa: S608
    return database.execute(change).rowcount


def _forms(root: Path, here: Path) -> dict[str, str]:
    """Return how places begin: as URIs, as lidcflow gives them, and as paths, as MLflow's server makes them."""
    return {root.as_uri(): here.as_uri(), str(root): str(here)}


def _note(database: sqlite3.Connection, former: Collection[Path], here: Path) -> None:
    """Keep the present name and, with its end, each former one."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    present = {str(root) for root in _roots(database)} - {str(root) for root in former} | {str(here)}
    database.execute(_NAMES)
    keep = "INSERT INTO lidcflow_workspace VALUES (?, ?, ?) ON CONFLICT (root) DO UPDATE SET until = excluded.until"
    database.executemany(keep, [(str(root), now, now) for root in former])
    database.executemany(keep, [(root, now, None) for root in sorted(present)])


def _is_same_folder(root: Path, workspace: Path) -> bool:
    """Return whether a name leads to this very folder; files of a copy may be shared by hard links, folders are not."""
    try:
        return os.path.samestat(root.stat(), workspace.stat())
    except OSError:
        return False
