"""UIDs and keyed hashes leave histories and logs, down to the bytes on the disk."""

import json
import sqlite3

import pytest

from lidcflow.erase.history import mask_database, mask_logs, overwrite_deleted
from lidcflow.errors import StoreError

UID, LONGER, KEY = "1.2.826.0.1.3680043.8.1", "1.2.826.0.1.3680043.8.12", "0123456789abcdef"


@pytest.fixture
def database(tmp_path):
    """A database in use by a server: the log of changes is not written back."""
    with sqlite3.connect(tmp_path / "prefect.db") as opened:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA secure_delete = OFF")
        opened.execute("CREATE TABLE artifact (id INTEGER PRIMARY KEY, data TEXT, number REAL, blob BLOB)")
        rows = [
            json.dumps({"series": UID, "slices": 1.25}),
            f"series {UID}: must be, of {KEY}.",
            f"series {LONGER}: ok",
        ]
        opened.executemany("INSERT INTO artifact (data, number) VALUES (?, 1.2)", [(row,) for row in rows])
        opened.execute("INSERT INTO artifact (data) VALUES (?)", (UID,))
        opened.execute("DELETE FROM artifact WHERE id = 4")
    yield opened
    opened.close()


def test_a_name_goes_from_every_text_and_nothing_else_does(database, tmp_path):
    file = tmp_path / "prefect.db"
    counted = mask_database(file, {UID, KEY}, only_count=True)

    masked = mask_database(file, {UID, KEY})

    first, second, third = [row for (row,) in database.execute("SELECT data FROM artifact ORDER BY id")]
    assert counted == masked == 2
    assert json.loads(first) == {"series": "x" * len(UID), "slices": 1.25}
    assert second == f"series {'x' * len(UID)}: must be, of {'x' * 16}."
    assert third == f"series {LONGER}: ok"
    content = b"".join(path.read_bytes() for path in tmp_path.glob("prefect.db*")).replace(LONGER.encode(), b"")
    assert UID.encode() not in content
    assert KEY.encode() not in content


def test_rows_that_were_deleted_earlier_leave_the_file_too(database, tmp_path):
    database.execute("DELETE FROM artifact")
    database.commit()

    overwrite_deleted(tmp_path / "prefect.db")

    assert UID.encode() not in (tmp_path / "prefect.db").read_bytes().replace(LONGER.encode(), b"")


def test_what_is_lacking_or_no_database_is_told(tmp_path):
    (tmp_path / "other.db").write_bytes(b"something else, and long enough to be looked at" * 40)

    assert mask_database(tmp_path / "none.db", {UID}) == 0
    with pytest.raises(StoreError, match=r"database other.db: must be a database"):
        mask_database(tmp_path / "other.db", {UID})


def test_a_log_is_masked_while_a_service_appends_to_it(tmp_path):
    with (tmp_path / "worker.log").open("a") as service:
        service.write(f"series {UID}: refused\nseries {LONGER}: usable\n")
        service.flush()

        counted = mask_logs(tmp_path, {UID}, only_count=True)
        masked = mask_logs(tmp_path, {UID})
        service.write("done\n")

    assert counted == masked == 1
    assert (tmp_path / "worker.log").read_text() == f"series {'x' * len(UID)}: refused\nseries {LONGER}: usable\ndone\n"
