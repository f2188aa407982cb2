"""infra/secrets.sh and infra/certificates.sh with a real shell and OpenSSL."""

import configparser
import json
import shutil
import stat
import subprocess
import time
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from tests.infra.compose import INFRA

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def folder(secrets, tmp_path):
    """Return a copy that a test may change."""
    return shutil.copytree(secrets, tmp_path / "secrets")


def again(folder):
    subprocess.run([INFRA / "secrets.sh", folder], check=True)


def text(folder, name):
    return (folder / name).read_text().strip()


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_the_folder_is_for_its_owner_alone(secrets):
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE((secrets / "authority").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir() if file.is_file()} == {0o444}


def test_a_folder_that_was_open_to_all_is_closed(folder):
    folder.chmod(0o755)

    again(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_every_password_and_key_differs_and_is_long(secrets):
    drawn = [text(secrets, file.name) for file in secrets.iterdir() if file.name.endswith(("_password", "_key"))]

    assert len(set(drawn)) == len(drawn) == 15
    assert min(map(len, drawn)) >= 20


def test_urls_and_accounts_hold_the_passwords(secrets):
    auth = configparser.ConfigParser()
    auth.read(secrets / "mlflow_auth.ini")
    identities = json.loads(text(secrets, "storage_identities.json"))["identities"]

    assert urlsplit(text(secrets, "lidcflow_catalog_url")).password == text(secrets, "lidcflow_db_password")
    assert urlsplit(text(secrets, "prefect_database_url")).password == text(secrets, "prefect_db_password")
    assert urlsplit(auth["mlflow"]["database_uri"]).password == text(secrets, "mlflow_db_password")
    assert {one["name"]: one["credentials"][0]["secretKey"] for one in identities} == {
        "admin": text(secrets, "s3_admin_secret_key"),
        "mlflow": text(secrets, "s3_mlflow_secret_key"),
        "lidcflow": text(secrets, "s3_secret_key"),
    }
    assert [one["actions"] for one in identities if one["name"] == "lidcflow"] == [
        ["Read:lidcflow", "Write:lidcflow", "List:lidcflow", "Tagging:lidcflow"]
    ]


def test_a_second_run_changes_nothing(folder):
    before = contents(folder)

    again(folder)

    assert contents(folder) == before


def test_a_password_that_was_deleted_is_drawn_anew_with_what_is_made_of_it(folder):
    before = contents(folder)
    (folder / "lidcflow_db_password").unlink()

    again(folder)

    changed = {name for name, content in contents(folder).items() if before[name] != content}
    assert changed == {"lidcflow_db_password", "lidcflow_catalog_url"}


def test_certificates_are_of_the_authority_and_good_for_both_ends(secrets):
    checked = ["openssl", "verify", "-CAfile", secrets / "dask_ca.crt", "-x509_strict", "-purpose"]

    for purpose in ("sslserver", "sslclient"):
        done = subprocess.run([*checked, purpose, secrets / "dask.crt"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_new_certificates_are_of_the_same_authority(folder):
    before = contents(folder)
    for name in ("dask.crt", "dask.key"):
        (folder / name).unlink()

    again(folder)

    after = contents(folder)
    assert after["dask_ca.crt"] == before["dask_ca.crt"]
    assert after["dask.key"] != before["dask.key"]
    left_s = x509.load_pem_x509_certificate(after["dask.crt"]).not_valid_after_utc.timestamp() - time.time()
    assert 364 < left_s / 86400 < 366
