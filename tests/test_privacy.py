import stat

from lidcflow.privacy import PUBLIC_KEY, SECRET_VARIABLE, hash_patient_id, load_secret


def test_the_hash_depends_on_patient_and_secret_and_not_on_blanks():
    assert hash_patient_id("A", PUBLIC_KEY) == hash_patient_id(" A ", PUBLIC_KEY)
    assert hash_patient_id("A", PUBLIC_KEY) != hash_patient_id("B", PUBLIC_KEY)
    assert hash_patient_id("A", PUBLIC_KEY) != hash_patient_id("A", b"other")


def test_a_workspace_makes_its_own_key_once_and_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)

    first = load_secret("private", tmp_path / "new")
    second = load_secret("private", tmp_path / "new")

    assert first == second != PUBLIC_KEY
    assert stat.S_IMODE((tmp_path / "new" / "patient.key").stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["patient.key"]


def test_the_environment_can_hold_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv(SECRET_VARIABLE, "s3cret")

    assert load_secret("private", tmp_path) == b"s3cret"
    assert not list(tmp_path.iterdir())
