import subprocess

import pytest

from tests.infra.compose import INFRA


@pytest.fixture(scope="session")
def secrets(tmp_path_factory):
    """A folder of secrets as infra/secrets.sh makes it."""
    folder = tmp_path_factory.mktemp("installation") / "secrets"
    subprocess.run([INFRA / "secrets.sh", folder], check=True)
    return folder
