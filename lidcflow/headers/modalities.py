"""Distinguish series of other modalities, such as X-rays and plans, from CT with odd headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydicom.uid import UID

from lidcflow.dicom.enhanced import CT_CLASSES
from lidcflow.dicom.facts import Facts
from lidcflow.dicom.values import is_uid
from lidcflow.headers.header import Header

CT = "CT"

_TERMS = """
AR AS ASMT AU BDUS BI BMD CD CF CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DS DX EC ECG EEG EMG EOG EPS ES FA FID
FS GM HC HD IO IOL IVOCT IVUS KER KO LA LEN LP LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT
PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR
SRF ST STAIN TEXTUREMAP TG TP US VA VF VM XA XAPROTOCOL XC
"""
MODALITIES = frozenset(_TERMS.split())
"""Defined terms of Modality (PS3.3 C.7.3.1.1.1), retired ones too; other values are never repeated."""

_STORAGE = " Storage"
_IMAGE = " Image"


def other_kind(headers: Sequence[Header]) -> str | None:
    """Return the kind of a series whose headers declare that it is not CT.

    Parameters
    ----------
    headers : sequence of Header
        Files of one series.

    Returns
    -------
    str or None
        Its modality, such as ``DX``; without a sound one, or where it is CT, what the standard calls its objects,
        such as ``Secondary Capture``. None for CT, and for series that may be CT as far as their headers tell.

    References
    ----------
    DICOM PS3.3 C.7.3.1.1.1, Modality.
    """
    kinds = Counter(_kind(facts) for facts in {id(header.facts): header.facts for header in headers}.values())
    return None if None in kinds else max(kinds, key=lambda kind: (kinds[kind], str(kind)))


def class_name(uid: str) -> str | None:
    """Return the standard's name of a SOP class; None where the standard has none.

    Examples
    --------
    >>> class_name("1.2.840.10008.5.1.4.1.1.7"), class_name("1.2.3")
    ('Secondary Capture Image Storage', None)
    """
    name = UID(uid).name if is_uid(uid) else uid
    return None if name == uid or not name.endswith(_STORAGE) else name


def _kind(facts: Facts) -> str | None:
    if facts.modality != CT and facts.modality in MODALITIES:
        return facts.modality
    name = None if facts.sop_class_uid in CT_CLASSES else class_name(facts.sop_class_uid)
    return name and name.removesuffix(_STORAGE).removesuffix(_IMAGE)
