"""Compare lidcflow's nodules with pylidc's own clusters, series by series, and time both.

It takes about five minutes on one core:

    python benchmarks/clusters_equal_pylidc.py [SERIES_INSTANCE_UID ...]

Exit code 1 when a series disagrees.
"""

import argparse
import builtins
import os
import sys
import tempfile
import time
import warnings
from importlib.resources import files
from types import ModuleType

import numpy as np
from figures import record_ratio

from lidcflow.labels.lidc import LidcScan, lidc_scan, lidc_scans, nodules_of

Clusters = list[list[int]]


def import_pylidc(home: str) -> ModuleType:
    """Import pylidc with a home folder to write in and the names that NumPy and setuptools have dropped since."""
    os.environ["HOME"] = os.environ["USERPROFILE"] = home
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["MPLCONFIGDIR"] = home
    for name in ("int", "float", "bool", "object"):
        setattr(np, name, getattr(builtins, name))
    resources = ModuleType("pkg_resources")
    resources.resource_filename = lambda package, name: str(files(package) / name)
    sys.modules.setdefault("pkg_resources", resources)
    warnings.simplefilter("ignore")
    import pylidc

    return pylidc


def clusters_of_pylidc(pylidc: ModuleType, scan: LidcScan) -> Clusters:
    """Annotation ids of each cluster, in pylidc's order."""
    found = pylidc.query(pylidc.Scan).filter(pylidc.Scan.series_instance_uid == scan.series_instance_uid).one()
    return [[annotation.id for annotation in cluster] for cluster in found.cluster_annotations(verbose=False)]


def clusters_of_lidcflow(scan: LidcScan) -> Clusters:
    """Annotation ids of each nodule, in lidcflow's order."""
    return [[reading.annotation_id for reading in nodule.readings] for nodule in nodules_of(scan)]


def compare(scans: list[LidcScan], home: str) -> list[LidcScan]:
    """Print agreement and times; return the scans that disagree."""
    started_s = time.process_time()
    ours = [clusters_of_lidcflow(scan) for scan in scans]
    ours_s = time.process_time() - started_s
    pylidc = import_pylidc(home)
    started_s = time.process_time()
    theirs = [clusters_of_pylidc(pylidc, scan) for scan in scans]
    theirs_s = time.process_time() - started_s
    differing = [scan for scan, mine, other in zip(scans, ours, theirs, strict=True) if mine != other]
    crowded = sum(any(len(cluster) > 4 for cluster in clusters) for clusters in theirs)
    print(f"same clusters: {len(scans) - len(differing)}/{len(scans)} series")
    print(f"series that end with a cluster of more than 4: {crowded}")
    print(f"CPU time: lidcflow {ours_s:.1f} s, pylidc {theirs_s:.1f} s, {theirs_s / ours_s:.0f} times as long")
    record_ratio("pylidc: its CPU time by ours", theirs_s / ours_s)
    record_ratio("share of series with the same clusters", 1 - len(differing) / len(scans))
    return differing


def main() -> int:
    """Compare the named series, the first ones, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("uids", nargs="*", metavar="UID")
    parser.add_argument("--first", type=int, help="so many series instead of all")
    asked = parser.parse_args()
    scans = [scan for uid in asked.uids if (scan := lidc_scan(uid))] if asked.uids else lidc_scans()[: asked.first]
    with tempfile.TemporaryDirectory() as home:
        differing = compare(scans, home)
    for scan in differing:
        print(f"differs: {scan.series_instance_uid}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
