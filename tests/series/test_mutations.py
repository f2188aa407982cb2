import contextlib
import shutil
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import JPEGLSLossless, RLELossless

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import SeriesRefused, SourceError
from lidcflow.series.find import index_folder
from lidcflow.volume.reduce import reduce_series
from tests.enhanced import to_enhanced
from tests.series.mutations import MUTATIONS, PREAMBLE_BYTES

EXAMPLES = 40
PEAK_BYTES = 96 * 2**20
CONFIG = PreprocessConfig(size=16, slices=8, z_range="lung", gaps="accept")

KINDS = {
    "classic": lambda folder, _encode: folder,
    "RLE": lambda folder, encode: encode(folder, RLELossless),
    "enhanced": lambda folder, _encode: to_enhanced(folder, shared=False),
    "enhanced, JPEG-LS": lambda folder, encode: to_enhanced(encode(folder, JPEGLSLossless), table="extended"),
}


def write_mutated(files: dict[str, bytes], folder: Path, data: st.DataObject) -> None:
    """Write files, one or all of them mutated in one way or several."""
    everywhere = data.draw(st.booleans())
    chosen = data.draw(st.sampled_from(sorted(files)))
    mutations = data.draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3))
    for name, content in files.items():
        if everywhere or name == chosen:
            for mutation in mutations:
                content = mutation(data.draw, content) if len(content) > 2 * PREAMBLE_BYTES else content
        (folder / name).write_bytes(content)


def index_and_reduce(folder: Path) -> None:
    """Judge what lies in a folder and reduce what is usable; anything but a verdict is an error of the test."""
    try:
        found = index_folder(folder, secret=b"", config=CONFIG)
    except SourceError:
        return
    assert all(verdict.reason in VerdictReason and verdict.sentence for verdict in found)
    for series in found.usable:
        with contextlib.suppress(SeriesRefused):
            reduce_series(series, CONFIG)


def check_mutated(files: dict[str, bytes], folder: Path, data: st.DataObject) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_mutated(files, folder, data)
    tracemalloc.start()
    try:
        index_and_reduce(folder)
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_mutated_series_gets_anything_but_a_verdict(ct_series, encode, tmp_path, kind, data):
    original = tmp_path / "original"
    if not original.exists():
        kind(ct_series(original, n=9, size=16, ConvolutionKernel="B30f", KVP=120, AcquisitionNumber=1), encode)
    files = {path.name: path.read_bytes() for path in original.iterdir()}

    check_mutated(files, tmp_path / "mutated", data)


@pytest.mark.real
@settings(max_examples=EXAMPLES // 2, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_mutated_real_series_gets_anything_but_a_verdict(real_data, tmp_path, data):
    files = {path.name: path.read_bytes() for path in sorted((real_data / "LIDC-IDRI").rglob("*.dcm"))[:8]}

    check_mutated(files, tmp_path / "mutated", data)
