"""infra/entrypoint.sh with a real shell: secrets become variables, anything else stays as it is."""

import subprocess

import pytest

from tests.infra.compose import INFRA


def run(folder, *command, **variables):
    return subprocess.run(
        [INFRA / "entrypoint.sh", *(command or ("env",))],
        env={"PATH": "/usr/bin:/bin", "SECRETS_FOLDER": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def variables_of(done):
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("secret", ["plain", "with spaces", "$HOME `id` \"'\\", "é"])
def test_a_secret_becomes_a_variable_as_it_is(tmp_path, secret):
    (tmp_path / "password").write_text(f"{secret}\n")

    found = variables_of(run(tmp_path, MLFLOW_TRACKING_PASSWORD_FILE=f"{tmp_path}/password"))

    assert found["MLFLOW_TRACKING_PASSWORD"] == secret
    assert "MLFLOW_TRACKING_PASSWORD_FILE" not in found


def test_files_elsewhere_and_settings_of_lidcflow_stay_files(tmp_path):
    (tmp_path / "url").write_text("secret")
    (tmp_path / "key").write_text("of patients")

    found = variables_of(
        run(
            tmp_path,
            SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt",
            LIDCFLOW_CATALOG_URL_FILE=f"{tmp_path}/url",
            LIDCFLOW_PATIENT_KEY_SECRET_FILE=f"{tmp_path}/key",
        )
    )

    assert found["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert found["LIDCFLOW_CATALOG_URL_FILE"] == f"{tmp_path}/url"
    assert found["LIDCFLOW_PATIENT_KEY_SECRET"] == "of patients"
    assert "LIDCFLOW_CATALOG_URL" not in found


@pytest.mark.parametrize(("text", "said"), [(None, "must be readable"), ("", "must not be empty")])
def test_a_secret_that_is_missing_or_empty_ends_it_with_a_sentence(tmp_path, text, said):
    if text is not None:
        (tmp_path / "key").write_text(text)

    done = run(tmp_path, AWS_ACCESS_KEY_ID_FILE=f"{tmp_path}/key")

    assert done.returncode == 78
    assert f"AWS_ACCESS_KEY_ID_FILE: the secret {said}, got {tmp_path}/key" in done.stderr
    assert done.stdout == ""


def test_it_becomes_the_program_and_ends_as_it_does(tmp_path):
    done = run(tmp_path, "sh", "-c", 'echo "$1"; exit 3', "sh", "two words")

    assert (done.returncode, done.stdout) == (3, "two words\n")
