"""Made-up sets in the formats of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SLICE_HEAD = "nodule_id,patient_id,series_uid,pixel_spacing_mm,area_diameter_mm,n_ratings\n"


def write_patches(folder: Path, *, n: int = 24) -> Path:
    """Write ``nodule-patches`` below a folder: every third patch has a bright disc, the last third is validation."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, (n, 50, 50)).astype(np.uint8)
    label = (np.arange(n) % 3 == 0).astype(np.uint8)
    rows, columns = np.indices((50, 50)) - 24.5
    image[np.ix_(label == 1)] += (150 * (np.hypot(rows, columns) < 6)).astype(np.uint8)
    index = np.linspace(0, 437_000, n).astype(np.int32)
    split = np.where(index < 380_000, "train", "validation")
    target = folder / "nodule-patches"
    target.mkdir(parents=True)
    np.savez(target / "patches.npz", image=image, label=label, candidate_index=index, split=split)
    return target / "patches.npz"


def write_slices(folder: Path, rows: list[tuple[str, float, int]]) -> None:
    """Write ``nodule-slices`` below a folder, from the UID, diameter and readers of each slice."""
    target = folder / "nodule-slices"
    target.mkdir(parents=True)
    lines = [f"{i},P{i},{uid},0.7,{diameter_mm},{readers}\n" for i, (uid, diameter_mm, readers) in enumerate(rows)]
    (target / "nodules.csv").write_text(SLICE_HEAD + "".join(lines))
    np.savez(target / "slices.npz", hu=np.full((len(rows), 71, 71), -800, np.int16))


def write_rated_slices(folder: Path, *, per_kind: int = 30, unrated: int = 0) -> Path:
    """Write ``nodule-slices`` below a folder: large bright discs rated 5, small faint ones rated 1."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((71, 71)) - 35.0
    away = np.hypot(rows, columns)
    images, lines = [], ["patient_id,pixel_spacing_mm,area_diameter_mm,ratings\n"]
    for i in range(2 * per_kind + unrated):
        radius = (9 if i % 2 else 4) + rng.uniform(-1.5, 1.5)
        hu = rng.normal(-850, 25, (71, 71)) + (away < radius) * (820 if i % 2 else 600)
        images.append(hu.astype(np.int16))
        ratings = "" if i >= 2 * per_kind else ("5 4" if i % 2 else "1 2")
        lines.append(f"P{i // 2},0.7,{2 * radius * 0.7:.2f},{ratings}\n")
    target = folder / "nodule-slices"
    target.mkdir(parents=True)
    np.savez(target / "slices.npz", hu=np.stack(images))
    (target / "nodules.csv").write_text("".join(lines))
    return target
