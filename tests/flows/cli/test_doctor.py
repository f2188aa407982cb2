from typer.testing import CliRunner

from flows.cli import app
from flows.service import doctor, machine_checks


def test_doctor_ends_with_exit_code_1_and_the_way_out_when_something_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {"patient key": machine_checks.patient_key, "disk": machine_checks.disk})
    (tmp_path / "patient.key").touch(mode=0o644)

    result = CliRunner().invoke(app, ["doctor", "--workspace", str(tmp_path)])

    assert result.exit_code == 1
    assert "fail patient key" in result.stdout
    assert "-> chmod 600" in result.stdout
    assert "disk" in result.stdout
