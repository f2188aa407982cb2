"""Time to read a slice in Hounsfield units from each transfer syntax, against its decoder alone.

The decoder alone has the frame in memory and gives its values (of plain files the bytes are read); lidcflow opens the
file, joins and checks the frame, decodes it and rescales. One slice is encoded and written at 40 positions; page cache
warm, the syntaxes take turns.

    python benchmarks/compressed_syntaxes.py [--slices 40] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdcm
import jpeg_ls
import numpy as np
import openjpeg
import pydicom
from figures import record_ratio
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.rle import _rle_decode_frame

from lidcflow.dicom.elements import read_syntax
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder

SIZE = 512
SYNTAXES = {
    "explicit little endian": uid.ExplicitVRLittleEndian,
    "explicit big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "RLE": uid.RLELossless,
    "JPEG Lossless": uid.JPEGLosslessSV1,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG-LS near-lossless": uid.JPEGLSNearLossless,
    "JPEG 2000 lossless": uid.JPEG2000Lossless,
    "JPEG 2000": uid.JPEG2000,
}
ENCODER_OPTIONS = {uid.JPEGLSNearLossless: {"jls_error": 2}, uid.JPEG2000: {"j2k_cr": [8]}}


def chest() -> np.ndarray:
    """Draw a slice: a body of soft tissue, two lungs, noise of 20 HU."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    hu = np.where((x / 0.9) ** 2 + (y / 0.65) ** 2 < 1, 40, -1000)
    hu[((np.abs(x) - 0.42) / 0.3) ** 2 + (y / 0.45) ** 2 < 1] = -850
    noise = np.random.default_rng(0).normal(0, 20, hu.shape)
    return (hu + noise + 1024).clip(0, 4095).astype("<i2")


def plain_slice() -> Dataset:
    """Make the slice, not compressed."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality, dataset.PatientID = uid.CTImageStorage, "CT", "benchmark"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, uid.generate_uid(entropy_srcs=["benchmark", keyword]))
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-180, -180, 0]
    dataset.PixelSpacing, dataset.InstanceNumber = [0.7, 0.7], 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIZE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = chest().tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return dataset


def encoded_slice(syntax: str, folder: Path) -> Dataset:
    """Encode the slice."""
    dataset = plain_slice()
    if syntax == uid.JPEGLosslessSV1:
        return encoded_by_gdcm(dataset, folder / "slice.dcm")
    if syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = chest().byteswap().tobytes()
    if syntax in (uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian):
        dataset.file_meta.TransferSyntaxUID = syntax
    else:
        dataset.compress(syntax, chest(), generate_instance_uid=False, **ENCODER_OPTIONS.get(syntax, {}))
    return dataset


def encoded_by_gdcm(dataset: Dataset, path: Path) -> Dataset:
    """Encode with GDCM, by way of files."""
    dataset.save_as(path, enforce_file_format=True)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    writer.Write()
    return pydicom.dcmread(path)


def write_series(dataset: Dataset, folder: Path, slices: int) -> None:
    """Write the encoded slice at `slices` positions."""
    folder.mkdir()
    for number in range(slices):
        dataset.SOPInstanceUID = uid.generate_uid(entropy_srcs=["benchmark", str(number)])
        dataset.ImagePositionPatient = [-180, -180, -1.25 * number]
        dataset.save_as(folder / f"{number:06d}.dcm", enforce_file_format=True)


def decoder_alone(syntax: str, path: Path) -> Callable[[], Any]:
    """Return a call of what the decoder does with one frame in memory."""
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        with open(path, "rb") as file:
            read_syntax(file)
            deflated = file.read()
        return lambda: zlib.decompress(deflated, -zlib.MAX_WBITS)
    if not uid.UID(syntax).is_encapsulated:
        return path.read_bytes
    frame = get_frame(pydicom.dcmread(path).PixelData, 0)
    if syntax == uid.RLELossless:
        return lambda: _rle_decode_frame(frame, SIZE, SIZE, 1, 16)
    if syntax == uid.JPEGLosslessSV1:
        return lambda: gdcm_image(frame).GetBuffer()
    if syntax in uid.JPEGLSTransferSyntaxes:
        return lambda: jpeg_ls.decode_pixel_data(frame)
    return lambda: openjpeg.decode(frame)


def gdcm_image(frame: bytes) -> Any:
    """Wrap a JPEG Lossless frame for GDCM, which decodes it when its buffer is asked for."""
    fragment, element = gdcm.Fragment(), gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((SIZE, SIZE, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 16, 15, 1))
    return image


def milliseconds(run: Callable[[], Any], times: int) -> float:
    """Return the CPU time of one of `times` runs: other work on the machine does not count."""
    start_s = time.process_time()
    for _ in range(times):
        run()
    return 1000 * (time.process_time() - start_s) / times


def measure(folder: Path, syntax: str, slices: int) -> tuple[float, float, float]:
    """Return times for one slice: of the header pass, of the decoder alone, and of reading in HU."""
    series = index_folder(folder, secret=PUBLIC_KEY).usable[0]
    memory = np.empty((SIZE, SIZE), np.uint16)
    headers_ms = milliseconds(lambda: index_folder(folder, secret=PUBLIC_KEY), 1) / slices
    alone_ms = milliseconds(decoder_alone(syntax, next(folder.iterdir())), slices)
    ours_ms = milliseconds(lambda: [hounsfield_slice(source, memory) for source in series.slices], 1) / slices
    return headers_ms, alone_ms, ours_ms


def main() -> None:
    """Encode, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, syntax in SYNTAXES.items():
            write_series(encoded_slice(syntax, Path(folder)), Path(folder) / name, options.slices)
        rounds = [
            {name: measure(Path(folder) / name, syntax, options.slices) for name, syntax in SYNTAXES.items()}
            for _ in range(options.rounds)
        ]
    print(f"{options.slices} slices of {SIZE} x {SIZE}, {options.rounds} rounds, medians of CPU time; ", end="")
    print(f"load {os.getloadavg()[0]:.1f}\n\n{'ms a slice':24}{'header':>9}{'decoder':>9}{'lidcflow':>9}{'ratio':>7}")
    for name in SYNTAXES:
        headers_ms, alone_ms, ours_ms = (statistics.median(run[name][i] for run in rounds) for i in range(3))
        print(f"{name:24}{headers_ms:9.2f}{alone_ms:9.2f}{ours_ms:9.2f}{ours_ms / alone_ms:7.2f}")
        record_ratio(
            f"{name}: CPU time of a slice by that of its decoder alone", ours_ms / alone_ms, lower_is_better=True
        )


if __name__ == "__main__":
    main()
