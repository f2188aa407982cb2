"""The keyed hash that stands for a patient everywhere outside DICOM files."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Literal

from lidcflow.files import write_new

PUBLIC_KEY = b"lidcflow public data sets, version 1"
"""The published key: hash splits of public data sets reproduce anywhere. It hides nothing."""

SECRET_VARIABLE = "LIDCFLOW_PATIENT_KEY_SECRET"
KEY_FILE = "patient.key"


def hash_patient_id(patient_id: str, secret: bytes) -> str:
    """Hash a Patient ID (0010,0020) with a secret.

    Parameters
    ----------
    patient_id : str
        As in the header; surrounding blanks don't count.
    secret : bytes
        The key, from `load_secret`.

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> hash_patient_id("LIDC-IDRI-0001", PUBLIC_KEY)
    'cb120ad193263e76'
    """
    return hmac.new(secret, patient_id.strip().encode(), hashlib.sha256).hexdigest()[:16]


def load_secret(kind: Literal["private", "public"], workspace: Path) -> bytes:
    """Return the key of the patient hash, making the workspace's own on first use.

    Parameters
    ----------
    kind : "private" or "public"
        ``private`` takes the variable `LIDCFLOW_PATIENT_KEY_SECRET` or the file ``patient.key``
        of the workspace, readable by its owner alone.
    workspace : Path
        Folder of the key file.
    """
    if kind == "public":
        return PUBLIC_KEY
    if secret := os.environ.get(SECRET_VARIABLE):
        return secret.encode()
    file = workspace / KEY_FILE
    if not file.exists():
        _write_new_key(file)
    return file.read_bytes()


def _write_new_key(file: Path) -> None:
    """Write a fresh key: of two first runs at once, one key wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_new(file, secrets.token_hex(32).encode(), private=True)
