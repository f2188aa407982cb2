"""A phantom as DICOM files."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread

from lidcflow.phantom.dicom_files import derived_uid, instance_number, series_dataset, slice_bytes, stored_values
from lidcflow.phantom.patient import random_header
from lidcflow.phantom.scene import generator


def test_series_differ_in_syntax_padding_order_and_protocol(scan):
    headers = [random_header(generator(seed), scan, seed) for seed in range(40)]

    assert {header.implicit for header in headers} == {header.padded for header in headers} == {True, False}
    assert {header.protocol.kernel.name for header in headers} == {"SOFT", "STANDARD", "LUNG"}
    assert {instance_number(header, 0) for header in headers} == {1, len(scan.slice_z_mm)}


@pytest.mark.parametrize("implicit", [True, False])
def test_stored_values_survive_in_either_syntax(scan, implicit):
    header = replace(random_header(generator(0), scan, 0), implicit=implicit, padded=True, matrix=8)
    hu = np.full((8, 8), -1000.4, np.float32)
    hu[4, 4] = 5000.0

    image = dcmread(BytesIO(slice_bytes(series_dataset(header), header, 2, stored_values(hu, header))))

    assert image.file_meta.TransferSyntaxUID.is_implicit_VR == implicit
    assert image.pixel_array[4, 4] == 3071 + 1024
    assert image.pixel_array[4, 3] == 24
    assert image.pixel_array[0, 0] == image.PixelPaddingValue == -2000


def test_derived_uids_are_valid_and_depend_on_every_part():
    assert derived_uid("a", 1) == derived_uid("a", 1)
    assert derived_uid("a", 1) != derived_uid("a1")
    assert len(derived_uid("a")) <= 64
