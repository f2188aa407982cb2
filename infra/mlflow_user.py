"""Make an MLflow account, or set its password: ``python mlflow_user.py URL NAME FILE_OF_THE_PASSWORD``.

The administrator's name and password are in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
"""

import os
import sys
from pathlib import Path

import httpx

USERS = "/api/2.0/mlflow/users"
PATIENCE_S = 60


def main(url: str, name: str, file: str) -> None:
    """Make the account where it is missing; otherwise give it the password of the file."""
    administrator = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
    account = {"username": name, "password": Path(file).read_text(encoding="utf-8").strip()}
    if name == administrator[0]:  # whoever changes his own password has to say the one he has
        account["current_password"] = administrator[1]
    with httpx.Client(base_url=url, auth=administrator, timeout=PATIENCE_S, trust_env=False) as server:
        if server.get(f"{USERS}/get", params={"username": name}).status_code == httpx.codes.NOT_FOUND:
            server.post(f"{USERS}/create", json=account).raise_for_status()
        else:
            server.patch(f"{USERS}/update-password", json=account).raise_for_status()


if __name__ == "__main__":
    main(*sys.argv[1:])
