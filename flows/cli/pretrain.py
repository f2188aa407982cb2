"""The command that trains what ships in the package: backbone, nodule detector, segmenter and malignancy model."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.bars import reported_stages, shown_progress
from flows.cli.options import AsJson, output_file, output_folder
from flows.cli.output import NOTICE, print_json, print_line
from flows.cli.pretrain_segmenter import pretrain_segmenter
from lidcflow.learn.backend import require_backend

Out = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help=(
            "Weight file to write, compact.npz by default; with --nodules, --segmenter or --malignancy, a folder, "
            "nodule-detector, segmenter or malignancy by default."
        ),
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help=(
            "Folder of real images: nodule-patches, nodule-slices, LIDC-IDRI and others for --nodules, nodule-cubes "
            "for --segmenter, nodule-slices for --malignancy."
        ),
    ),
]
Nodules = Annotated[bool, typer.Option("--nodules", help="Train the nodule detector on the real images of --data.")]
SegmenterOption = Annotated[
    bool, typer.Option("--segmenter", help="Train the segmenter on the outlined nodules of --data.")
]
Recalibrate = Annotated[
    bool,
    typer.Option("--recalibrate", help="Keep the networks in the package; fit their calibration and figures anew."),
]
Malignancy = Annotated[bool, typer.Option("--malignancy", help="Fit the malignancy model on the nodules of --data.")]
PatchesOnly = Annotated[bool, typer.Option("--patches-only", help="Train the detector on nodule-patches alone.")]


def pretrain(
    out: Out = None,
    volumes: Annotated[int | None, typer.Option(min=4, help="Number of generated chests to train on.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of optimizer steps.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the generated chests, the initial weights and the order of batches.")
    ] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="Number of processes that generate chests.")] = None,
    nodules: Nodules = False,
    malignancy: Malignancy = False,
    data: Data = None,
    patches_only: PatchesOnly = False,
    recalibrate: Recalibrate = False,
    segmenter: SegmenterOption = False,
    as_json: AsJson = False,
) -> None:
    """Pretrain the compact backbone on generated CT; the default options reproduce the weights in the package.

    With --nodules, train the nodule detector on real images instead; docs/detector.md lists them. With --segmenter,
    train the segmenter on outlined nodules; see docs/segmenter.md. With --malignancy, fit the malignancy model;
    docs/malignancy.md describes its data.
    """
    (output_folder if segmenter or malignancy or nodules else output_file)(out)
    if segmenter:
        others = {"--nodules": nodules, "--malignancy": malignancy, "--volumes": volumes, "--processes": processes}
        _refuse({**others, "--patches-only": patches_only, "--recalibrate": recalibrate}, "don't go with --segmenter")
        return pretrain_segmenter(out or Path("segmenter"), data, steps, seed, as_json)
    if malignancy:
        others = {"--nodules": nodules, "--volumes": volumes, "--steps": steps, "--processes": processes}
        _refuse({**others, "--patches-only": patches_only, "--recalibrate": recalibrate}, "don't go with --malignancy")
        return _pretrain_malignancy(out or Path("malignancy"), data, seed, as_json)
    if not nodules:
        _refuse({"--data": data, "--patches-only": patches_only, "--recalibrate": recalibrate}, "need --nodules")
        return _pretrain_backbone(out or Path("compact.npz"), volumes, steps, seed, processes, as_json)
    _refuse({"--volumes": volumes, "--processes": processes}, "are of the backbone; leave them out with --nodules")
    if data is None:
        raise typer.BadParameter("--nodules needs --data, the folder with nodule-patches; docs/detector.md lists it")
    out = out or Path("nodule-detector")
    if recalibrate:
        _refuse({"--patches-only": patches_only, "--steps": steps}, "train networks, which --recalibrate keeps")
        lazy.require_sets(data)
        return _print_detector(lazy.recalibrate(data, lazy.WEIGHTS, out), as_json)
    return _pretrain_nodules(out, data, steps, seed, patches_only, as_json)


def _refuse(options: dict[str, Any], why: str) -> None:
    if given := [name for name, value in options.items() if value]:
        raise typer.BadParameter(f"{', '.join(given)} {why}")


def _pretrain_backbone(
    out: Path, volumes: int | None, steps: int | None, seed: int, processes: int | None, as_json: bool
) -> None:
    require_backend()
    asked: dict[str, Any] = {"volumes": volumes, "steps": steps, "processes": processes}
    settings = lazy.PretrainSettings(seed=seed, **{key: value for key, value in asked.items() if value is not None})
    with shown_progress("starting Keras"), reported_stages() as report:
        made = lazy.pretrain(out, settings, on_progress=report)
    if as_json:
        print_json({**asdict(made), "file": str(made.file), "notice": NOTICE})
    else:
        print_line(
            f"{made.file} in {made.wall_s / 60:.0f} min, SHA-256 {made.sha256}. On held-out chests: slice AUROC of "
            f"nodule or not {made.nodule_auroc:.3f}, of malignant or benign {made.malignant_auroc:.3f}. {NOTICE}"
        )


def _pretrain_nodules(out: Path, data: Path, steps: int | None, seed: int, patches_only: bool, as_json: bool) -> None:
    require_backend()
    lazy.require_sets(data, patches_only=patches_only)
    asked = {} if steps is None else {"steps": steps, "more_steps": max(1, steps // 3)}
    settings = lazy.NoduleTraining(seed=seed, **asked)
    with shown_progress("reading the images and starting Keras"), reported_stages() as report:
        made = lazy.pretrain_nodules(data, out, settings, patches_only=patches_only, on_progress=report)
    _print_detector(made, as_json)


def _pretrain_malignancy(out: Path, data: Path | None, seed: int, as_json: bool) -> None:
    if data is None:
        raise typer.BadParameter(
            "--malignancy needs --data, the folder with nodule-slices; docs/malignancy.md lists it"
        )
    with shown_progress("reading the nodules"), reported_stages() as report:
        made = lazy.pretrain_malignancy(data, out, seed=seed, on_progress=report)
    if as_json:
        return print_json({**asdict(made), "folder": str(made.folder), "notice": NOTICE})
    print_line(f"{made.folder} in {made.wall_s / 60:.0f} min, SHA-256 {made.sha256}.")
    for figures in made.card["figures"]:
        print_line(
            f"{figures['design']}, cross-validated by patient: AUROC {_interval(figures['auroc'])}, "
            f"{figures['malignant']} of {figures['benign'] + figures['malignant']} nodules malignant."
        )
    print_line(NOTICE)
    return None


def _print_detector(made: Any, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(made), "folder": str(made.folder), "notice": NOTICE})
        return
    print_line(f"{made.folder} in {made.wall_s / 60:.0f} min, SHA-256 {made.sha256}.")
    for part, figures in made.card["patches"].items():
        print_line(
            f"Patches, {part}: AUROC {_interval(figures['auroc'])}, sensitivity at a specificity of "
            f"{figures['specificity']:.0%} {_interval(figures['sensitivity'])}, {figures['nodules']} of "
            f"{figures['patches']} with a nodule."
        )
    print_line(NOTICE)


def _interval(figure: dict[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "not defined"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
