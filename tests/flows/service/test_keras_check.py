"""What is found out about Keras without a start, which takes seconds, and by one."""

import pytest

from flows.service import keras_check
from flows.service.machine_checks import Level


def test_keras_of_this_machine_is_installed_and_the_libraries_of_tensorflow_load():
    finding = keras_check.installed()

    assert (finding.level, finding.way_out) == (Level.OK, "")
    assert "libraries of TensorFlow 2." in finding.found
    assert finding.found.endswith("not started, as `lidcflow doctor --full` does")


def test_a_library_that_does_not_load_is_a_failure_with_the_reason_and_the_way_out(tmp_path):
    (tmp_path / "libtensorflow_cc.so.2").write_bytes(b"half a file")

    finding = keras_check.tensorflow(tmp_path)

    assert finding.level is Level.FAIL
    assert "libtensorflow_cc.so.2: file too short" in finding.found
    assert "needs a processor with AVX" in finding.way_out


def test_a_library_that_ends_its_process_is_a_failure_named_by_the_signal(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_check, "LOAD_PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")

    assert keras_check.load_fault([]) == "TensorFlow's libraries must load, got SIGILL: no output"


def test_a_tensorflow_whose_libraries_lie_elsewhere_is_not_called_well(tmp_path):
    finding = keras_check.tensorflow(tmp_path)

    assert finding.level is Level.WARN
    assert "--full" in finding.way_out


def test_a_backend_that_is_not_installed_is_a_failure(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "no_such_backend")

    finding = keras_check.installed()

    assert (finding.level, finding.found) == (Level.FAIL, "Keras and its backend no_such_backend must be installed")


def test_another_backend_is_only_looked_for(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    monkeypatch.setattr(keras_check, "load_fault", lambda _: pytest.fail("TensorFlow is not asked for"))

    finding = keras_check.installed()

    assert finding.level is Level.OK
    assert "its backend numpy are installed" in finding.found


def test_a_wheel_of_another_version_is_named_with_the_versions_that_fit(monkeypatch):
    monkeypatch.setattr("flows.service.machine_checks.version", lambda _: "1.0")

    wrong = list(keras_check.misfits(keras_check.WHEELS))

    assert any(sentence.startswith("tensorflow") and sentence.endswith("got 1.0") for sentence in wrong)


def test_gpus_are_those_that_the_driver_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_check, "DRIVER_GPUS", tmp_path)
    assert "GPU" not in keras_check.installed().found
    (tmp_path / "0000:17:00.0").mkdir()

    assert "load, NVIDIA's driver lists 1 GPU; not started" in keras_check.installed().found


@pytest.mark.parametrize(
    ("program", "level", "found"),
    [
        ("print('3.15 on tensorflow with cpu:0')", Level.OK, "3.15 on tensorflow with cpu:0"),
        ("raise SystemExit('no AVX')", Level.FAIL, "exit code 1: no AVX"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", Level.FAIL, "SIGKILL: no output"),
    ],
)
def test_a_start_is_what_its_process_says(monkeypatch, program, level, found):
    monkeypatch.setattr(keras_check, "START_PROGRAM", program)

    finding = keras_check.started()

    assert (finding.level, finding.found) == (level, found)
