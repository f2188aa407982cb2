"""UIDs and keyed hashes leave histories and logs, down to the bytes on the disk."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lidcflow.erase import history
from lidcflow.erase.history import mask_database, mask_logs, masked, overwrite_deleted
from lidcflow.errors import ResourceError, StoreError

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


def test_a_sentence_that_names_a_series_loses_every_uid_and_key_and_other_sentences_none():
    text = f"series {UID}: after {LONGER} of {KEY}\nseries {LONGER}: ok, 1.5 mm\n'{LONGER}' \"1.2.3\""

    assert masked(text, {UID}) == (
        f"series {'x' * 23}: after {'x' * 24} of {'x' * 16}\nseries {LONGER}: ok, 1.5 mm\n'{LONGER}' \"1.2.3\""
    )
    assert masked(text, {"1.2.3"}) == text.replace("1.2.3", "xxxxx")
    assert masked(text, set()) == text


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
    assert mask_database(tmp_path / "other.db", set()) == 0
    for erased in (lambda file: mask_database(file, {UID}), overwrite_deleted):
        with pytest.raises(StoreError) as refused:
            erased(tmp_path / "other.db")
        assert str(refused.value) == (
            "database other.db: must be a database, got 'file is not a database'; move the file away, and run again"
        )


@pytest.mark.parametrize("erased", [lambda file: mask_database(file, {UID}), overwrite_deleted])
def test_a_database_that_another_process_writes_is_waited_for_and_then_named(tmp_path, monkeypatch, erased):
    waited_s, connect = [], sqlite3.connect
    with closing(connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE runs (name TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(history, "BUSY_S", 0.01)
        monkeypatch.setattr(
            sqlite3, "connect", lambda file, **options: waited_s.append(options["timeout"]) or connect(file, **options)
        )

        with pytest.raises(ResourceError) as refused:
            erased(tmp_path / "mlflow.db")

    assert str(refused.value) == (
        "database mlflow.db: must be writable for an erasure, got 'database is locked'; "
        "stop what uses it, and run again"
    )
    assert waited_s == [0.01]


def test_the_log_of_changes_is_emptied_before_and_after_the_file_is_written_anew(database, tmp_path, monkeypatch):
    emptied = []
    monkeypatch.setattr(history, "_checkpoint", lambda _, file: emptied.append(file.name))

    overwrite_deleted(tmp_path / "prefect.db")

    assert emptied == ["prefect.db", "prefect.db"]


@pytest.fixture
def reader(database, tmp_path):
    """Another process amid reading what the database held before."""
    with closing(sqlite3.connect(tmp_path / "prefect.db", isolation_level=None)) as opened:
        opened.execute("BEGIN")
        opened.execute("SELECT count(*) FROM artifact").fetchone()
        database.execute("DELETE FROM artifact")
        database.commit()
        yield opened


def test_one_who_reads_is_waited_for(reader, tmp_path, monkeypatch):
    waits_s, connect = [], sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file, **options: connect(file, **options | {"timeout": 0}))
    monkeypatch.setattr(history.time, "sleep", lambda s: waits_s.append(s) or reader.execute("COMMIT"))

    overwrite_deleted(tmp_path / "prefect.db")

    assert waits_s == [0.1]
    assert UID.encode() not in (tmp_path / "prefect.db").read_bytes().replace(LONGER.encode(), b"")


def test_one_who_reads_without_end_is_in_the_way(reader, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "BUSY_S", 0.0)

    with pytest.raises(ResourceError) as refused:
        overwrite_deleted(tmp_path / "prefect.db")

    assert str(refused.value) == (
        "database prefect.db: must be idle for a moment during an erasure, but a process reads it without end; "
        "stop it, and run again"
    )


def test_a_database_without_a_log_of_changes_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(history.time, "sleep", lambda _: pytest.fail("it waits"))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other, other:
        other.execute("CREATE TABLE runs (name TEXT)")
        other.execute("INSERT INTO runs VALUES (?)", (UID,))

    assert mask_database(tmp_path / "mlflow.db", {UID}) == 1


def test_a_log_is_masked_while_a_service_appends_to_it(tmp_path):
    with (tmp_path / "worker.log").open("a") as service:
        service.write(f"series {UID}: refused\nseries {LONGER}: usable\n")
        service.flush()

        counted = mask_logs(tmp_path, {UID}, only_count=True)
        masked = mask_logs(tmp_path, {UID})
        service.write("done\n")

    assert counted == masked == 1
    assert (tmp_path / "worker.log").read_text() == f"series {'x' * len(UID)}: refused\nseries {LONGER}: usable\ndone\n"


def test_logs_of_any_age_and_depth_are_masked_and_what_a_link_leads_to_is_not_ours(tmp_path):
    logs = tmp_path / "logs"
    (logs / "old.log").mkdir(parents=True)
    outside = tmp_path / "outside.log"
    for file in (logs / "old.log" / "server.log.1", logs / "worker.log", logs / "worker.txt", outside):
        file.write_text(f"{UID} of {KEY}\n'{UID}'\n")
    (logs / "linked.log").symlink_to(outside)

    assert mask_logs(logs, {UID}) == 6
    assert mask_logs(logs, {UID}) == 0
    for file in (logs / "old.log" / "server.log.1", logs / "worker.log"):
        assert file.read_text() == f"{'x' * len(UID)} of {'x' * 16}\n'{'x' * len(UID)}'\n"
    for file in (logs / "worker.txt", outside):
        assert UID in file.read_text()


def test_logs_are_opened_for_reading_alone_to_count_and_not_at_all_without_a_name(tmp_path, monkeypatch):
    (tmp_path / "worker.log").write_text(UID)
    modes, opened = [], Path.open
    monkeypatch.setattr(Path, "open", lambda file, mode: modes.append(mode) or opened(file, mode))

    assert mask_logs(tmp_path, {UID}, only_count=True) == 1
    assert mask_logs(tmp_path, set()) == 0
    assert modes == ["rb"]
