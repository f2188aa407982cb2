from threading import Thread

import pytest

from tasks.progress import Stage, listening, stage


class Notes:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, stage: Stage) -> None:
        self.lines.append(f"started {stage.name} of {stage.total}")

    def advanced(self, stage: Stage) -> None:
        self.lines.append(f"{stage.done} of {stage.total}")

    def finished(self, stage: Stage) -> None:
        self.lines.append(f"finished at {stage.done}")


def test_a_listener_hears_a_stage_start_advance_and_finish():
    notes = Notes()

    with listening(notes), stage("index", total=3) as indexing:
        indexing.advance()
        indexing.reach(3, 4)

    assert notes.lines == ["started index of 3", "1 of 3", "3 of 4", "finished at 3"]


def test_a_stage_that_fails_is_finished_where_it_stood():
    notes = Notes()

    with listening(notes), pytest.raises(ValueError, match="broken"), stage("index", total=3):
        raise ValueError("broken")

    assert notes.lines[-1] == "finished at 0"


def test_a_listener_that_left_hears_nothing():
    notes = Notes()
    with listening(notes):
        pass

    with stage("index"):
        pass

    assert notes.lines == []


def test_steps_counted_from_several_threads_are_all_counted():
    with stage("index", total=4000) as indexing:
        threads = [Thread(target=lambda: [indexing.advance() for _ in range(1000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert indexing.done == 4000
