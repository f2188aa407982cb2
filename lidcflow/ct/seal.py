"""The seal of an instance in a PACS: tells when it comes whether it is still what the index took it for.

A seal covers the patient, study, series and geometry of a header. It is keyed by a salt that is made for one index and
kept nowhere: a worker checks the patient of what it retrieves, and needs no key of the patient hash.
"""

from __future__ import annotations

import hmac
import json
import secrets

from lidcflow.ct.facts import Facts

SALT_BYTES = 16


def new_salt() -> bytes:
    """Return a salt, the key under which headers are read to be sealed."""
    return secrets.token_bytes(SALT_BYTES)


def seal_of(facts: Facts, salt: bytes) -> str:
    """Return the seal of a header.

    Parameters
    ----------
    facts : Facts
        Of the header, read with the salt as key of the patient hash.
    salt : bytes
        From `new_salt`.
    """
    told = [
        facts.patient_key,
        facts.study_instance_uid,
        facts.series_instance_uid,
        facts.frame_of_reference_uid,
        facts.sop_class_uid,
        facts.orientation,
        facts.spacing_mm,
    ]
    return f"{salt.hex()}-{hmac.digest(salt, json.dumps(told).encode(), 'sha256').hex()}"


def salt_of(seal: str) -> bytes:
    """Return the salt of a seal; none of an empty one.

    Examples
    --------
    >>> salt_of("00ff-aa"), salt_of("")
    (b'\\x00\\xff', b'')
    """
    return bytes.fromhex(seal.partition("-")[0])
