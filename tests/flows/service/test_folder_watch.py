"""A watched folder tells that something came, once it rests, whatever lies how deep in it."""

import threading
import time

import pytest

from flows.service import folder_watch
from flows.service.folder_watch import FolderWatch


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(folder_watch, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(folder_watch, "QUIET_S", 0.2)


def test_files_and_folders_that_come_or_go_at_any_depth_are_changes(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    watch = FolderWatch([tmp_path])
    seen = [watch.changed()]

    (tmp_path / "a" / "b" / "1.dcm").touch()
    seen += [watch.changed(), watch.changed()]
    (tmp_path / "a" / "b" / "c").mkdir()
    seen.append(watch.changed())
    (tmp_path / "a" / "b" / "c" / "2.dcm").touch()
    seen.append(watch.changed())
    (tmp_path / "a" / "b" / "1.dcm").unlink()
    seen += [watch.changed(), watch.changed()]

    assert seen == [False, True, False, True, True, True, False]


def test_a_folder_that_is_gone_or_comes_later_is_no_error(tmp_path):
    watch = FolderWatch([tmp_path / "later"])
    before = watch.changed()

    (tmp_path / "later").mkdir()

    assert (before, watch.changed()) == (False, True)


def test_links_in_a_circle_are_followed_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "round").symlink_to(tmp_path / "a")

    watch = FolderWatch([tmp_path])

    assert len(watch._seen) == 2

    assert not FolderWatch([tmp_path]).changed()


def test_nothing_that_comes_ends_the_wait_at_its_time(tmp_path):
    began_s = time.monotonic()

    assert not FolderWatch([tmp_path]).wait(0.1)
    assert 0.1 <= time.monotonic() - began_s < 5


def test_what_comes_ends_the_wait_once_it_rests(tmp_path):
    watch, came_s = FolderWatch([tmp_path]), []

    def arrive():
        for number in range(5):
            time.sleep(0.1)
            (tmp_path / f"{number}.dcm").touch()
            came_s.append(time.monotonic())

    arriving = threading.Thread(target=arrive)
    arriving.start()
    found = watch.wait(60)
    ended_s = time.monotonic()
    arriving.join()

    assert found
    assert len(list(tmp_path.iterdir())) == 5
    assert ended_s - came_s[-1] >= 0.1


def test_what_comes_without_a_rest_is_taken_note_of(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_watch, "LONGEST_S", 0.3)
    monkeypatch.setattr(folder_watch, "QUIET_S", 60)
    watch = FolderWatch([tmp_path])
    (tmp_path / "1.dcm").touch()

    assert watch.wait(60)
