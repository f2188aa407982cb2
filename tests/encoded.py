"""CT series in every transfer syntax that has an encoder here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdcm
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

ENCODED = {
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLossless,
    "JPEG lossless SV1": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}
"""Lossless ones, by the name that tests show."""

Encode = Callable[..., Path]


@pytest.fixture(params=ENCODED.values(), ids=ENCODED)
def lossless_syntax(request: pytest.FixtureRequest) -> str:
    """Return one lossless transfer syntax after another."""
    return request.param


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Return a function that encodes all slices of a folder in place: ``encode(folder, syntax, **options)``."""
    return encode_folder


def encode_folder(folder: Path, syntax: str, **options: Any) -> Path:
    for path in folder.iterdir():
        if syntax in (JPEGLossless, JPEGLosslessSV1):
            _encode_by_gdcm(path, syntax)
        else:
            _encode(path, syntax, options)
    return folder


def _encode(path: Path, syntax: str, options: dict[str, Any]) -> None:
    dataset = pydicom.dcmread(path)
    if syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        _without_encoding(dataset, syntax).save_as(path, enforce_file_format=True)
        return
    if syntax == JPEGLSNearLossless:
        options = {"jls_error": 2} | options
    dataset.compress(syntax, generate_instance_uid=False, **options)
    dataset.save_as(path)


def _without_encoding(dataset: Dataset, syntax: str) -> Dataset:
    """Copy the values: pydicom does not change the byte order of a data set that it read."""
    fresh = Dataset()
    for element in dataset:
        fresh.add(element)
    if syntax == ExplicitVRBigEndian:
        fresh.PixelData = dataset.pixel_array.byteswap().tobytes()
    fresh.file_meta = dataset.file_meta
    fresh.file_meta.TransferSyntaxUID = syntax
    return fresh


def _encode_by_gdcm(path: Path, syntax: str) -> None:
    """Encode with the one permissive encoder of lossless JPEG."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    if not reader.Read():
        raise ValueError(f"{path.name}: must be an image that GDCM reads")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise ValueError(f"{path.name}: must be an image that GDCM encodes")
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    if not writer.Write():
        raise ValueError(f"{path.name}: must be written")
