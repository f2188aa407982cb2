from typer.testing import CliRunner

from flows.cli import app
from flows.service import doctor
from flows.service.machine_checks import ok


def test_doctor_ends_with_exit_code_1_and_the_way_out_when_something_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {name: doctor.CHECKS[name] for name in ("patient key", "disk")})
    (tmp_path / "patient.key").touch(mode=0o644)

    result = CliRunner().invoke(app, ["doctor", "--workspace", str(tmp_path)])

    assert result.exit_code == 1
    assert "fail patient key" in result.stdout
    assert "-> chmod 600" in result.stdout
    assert "disk" in result.stdout


def test_doctor_starts_keras_only_in_full(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {"Keras": lambda _: ok("installed")})
    monkeypatch.setattr(doctor, "FULL", {"Keras": lambda _: ok("started")})

    found = [
        CliRunner().invoke(app, ["doctor", *option, "--workspace", str(tmp_path)]).stdout.splitlines()[0].split()
        for option in ([], ["--full"])
    ]

    assert found == [["ok", "Keras", "installed"], ["ok", "Keras", "started"]]
