"""Functions that commands call, each imported when it is first used, as `lazy.train(...)`.

Prefect, MLflow, SciPy and pydicom take from 0.3 to 2.5 s of CPU to import, which `--help` need not spend. And Prefect
reads the environment once, when it is imported: `flow_session` must have set it before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.markdown import Markdown as Markdown

    from flows.clean import clean_up as clean_up
    from flows.drift import drift as drift
    from flows.dry_run import preprocess_cost as preprocess_cost
    from flows.dry_run import train_cost as train_cost
    from flows.erase import erase as erase
    from flows.erase import lift as lift
    from flows.erase import require_patient_key as require_patient_key
    from flows.evaluate import evaluate as evaluate
    from flows.experiment import experiment as experiment
    from flows.inbox import inbox_report as inbox_report
    from flows.infer import infer as infer
    from flows.infer_here import infer_here as infer_here
    from flows.phantom import write_phantoms as write_phantoms
    from flows.pipeline import pipeline as pipeline
    from flows.preprocess import preprocess as preprocess
    from flows.repair import repair as repair
    from flows.reports import server as server
    from flows.retrain import retrain as retrain
    from flows.service import doctor as doctor
    from flows.service import up as up
    from flows.service.deploy import deploy as deploy
    from flows.service.links import served_pages as served_pages
    from flows.service.machine_checks import Level as Level
    from flows.service.status import status_of as status_of
    from flows.service.temporary_server import temporary_server as temporary_server
    from flows.train import train as train
    from lidcflow.catalog.series import Catalog as Catalog
    from lidcflow.config.base import rule_and_value as rule_and_value
    from lidcflow.erase.subject import Subject as Subject
    from lidcflow.erase.tombstones import tombstones_in as tombstones_in
    from lidcflow.evaluate import tables as tables
    from lidcflow.evaluate.cubes import evaluate_cubes as evaluate_cubes
    from lidcflow.evaluate.nodule_slices import evaluate_nodule_slices as evaluate_nodule_slices
    from lidcflow.evaluate.patches import evaluate_patches as evaluate_patches
    from lidcflow.experiment.nodule_figures import run_nodule_experiment as run_nodule_experiment
    from lidcflow.experiment.nodule_page import columns_of as columns_of
    from lidcflow.experiment.nodule_page import nodule_rows as nodule_rows
    from lidcflow.experiment.nodule_page import rendered_nodules as rendered_nodules
    from lidcflow.experiment.nodule_page import size_rows as size_rows
    from lidcflow.experiment.nodule_page import write_nodule_comparison as write_nodule_comparison
    from lidcflow.labels.lidc import nodules_of as nodules_of
    from lidcflow.labels.slices import StoredLabelRow as StoredLabelRow
    from lidcflow.labels.slices import all_label_rows as all_label_rows
    from lidcflow.labels.slices import label_string as label_string
    from lidcflow.labels.slices import write_label_table as write_label_table
    from lidcflow.learn.classical import learn_classical as learn_classical
    from lidcflow.learn.malignancy_pretraining import pretrain_malignancy as pretrain_malignancy
    from lidcflow.learn.nodule_detector import pretrain_nodules as pretrain_nodules
    from lidcflow.learn.nodule_detector import recalibrate as recalibrate
    from lidcflow.learn.nodule_sets import require_sets as require_sets
    from lidcflow.learn.nodule_training import NoduleTraining as NoduleTraining
    from lidcflow.learn.nodulex import learn_nodulex as learn_nodulex
    from lidcflow.learn.pretrain import PretrainSettings as PretrainSettings
    from lidcflow.learn.pretrain import pretrain as pretrain
    from lidcflow.learn.segmenter_pretraining import pretrain_segmenter as pretrain_segmenter
    from lidcflow.learn.segmenter_pretraining import require_cubes as require_cubes
    from lidcflow.learn.segmenter_training import SegmenterTraining as SegmenterTraining
    from lidcflow.learn.triplanar import learn_triplanar as learn_triplanar
    from lidcflow.nodules.detector import WEIGHTS as WEIGHTS
    from lidcflow.nodules.detector import embedded_detector as embedded_detector
    from lidcflow.nodules.malignancy import embedded_malignancy as embedded_malignancy
    from lidcflow.nodules.segmenter import embedded_segmenter as embedded_segmenter
    from lidcflow.nodules.systems import finding_systems as finding_systems
    from lidcflow.phantom.scans import choose_scans as choose_scans
    from lidcflow.release.embedded import embedded_release as embedded_release
    from lidcflow.release.embedded_card import embedded_card as embedded_card
    from lidcflow.stats.cube_figures import OutlineFigures as OutlineFigures
    from lidcflow.store.volumes import VolumeStore as VolumeStore
    from tasks.cluster.forks import begin_training_workers as begin_training_workers
    from tasks.findings import detector_of as detector_of
    from tasks.findings import systems_of as systems_of
    from tasks.labels import label_readable as label_readable
    from tasks.labels import no_labels as no_labels
    from tasks.pin import pin_release as pin_release
    from tasks.promote import promote as promote
    from tasks.promote import rollback as rollback
    from tasks.release_folder import export_facts as export_facts
    from tasks.release_folder import release_facts_folder as release_facts_folder
    from tasks.release_folder import write_facts as write_facts
    from tasks.snapshot_files import list_snapshots as list_snapshots
    from tasks.source import check_holds_ct as check_holds_ct
    from tasks.source import fetch_files as fetch_files
    from tasks.source import find_series as find_series
    from tasks.source import plan_files as plan_files
    from tasks.tracking.connection import pages as pages
    from tasks.tracking.in_force import release_in_force as release_in_force
    from tasks.tracking.nodule_comparison import log_nodule_comparison as log_nodule_comparison
    from tasks.tracking.registry import load_release as load_release

_PLACES = {
    "Markdown": "rich.markdown:Markdown",
    "Catalog": "lidcflow.catalog.series:Catalog",
    "OutlineFigures": "lidcflow.stats.cube_figures:OutlineFigures",
    "Level": "flows.service.machine_checks:Level",
    "NoduleTraining": "lidcflow.learn.nodule_training:NoduleTraining",
    "PretrainSettings": "lidcflow.learn.pretrain:PretrainSettings",
    "SegmenterTraining": "lidcflow.learn.segmenter_training:SegmenterTraining",
    "StoredLabelRow": "lidcflow.labels.slices:StoredLabelRow",
    "Subject": "lidcflow.erase.subject:Subject",
    "VolumeStore": "lidcflow.store.volumes:VolumeStore",
    "WEIGHTS": "lidcflow.nodules.detector:WEIGHTS",
    "all_label_rows": "lidcflow.labels.slices:all_label_rows",
    "begin_training_workers": "tasks.cluster.forks:begin_training_workers",
    "check_holds_ct": "tasks.source:check_holds_ct",
    "choose_scans": "lidcflow.phantom.scans:choose_scans",
    "clean_up": "flows.clean:clean_up",
    "columns_of": "lidcflow.experiment.nodule_page:columns_of",
    "deploy": "flows.service.deploy:deploy",
    "doctor": "flows.service.doctor",
    "drift": "flows.drift:drift",
    "embedded_card": "lidcflow.release.embedded_card:embedded_card",
    "detector_of": "tasks.findings:detector_of",
    "finding_systems": "lidcflow.nodules.systems:finding_systems",
    "systems_of": "tasks.findings:systems_of",
    "embedded_detector": "lidcflow.nodules.detector:embedded_detector",
    "embedded_malignancy": "lidcflow.nodules.malignancy:embedded_malignancy",
    "embedded_release": "lidcflow.release.embedded:embedded_release",
    "erase": "flows.erase:erase",
    "embedded_segmenter": "lidcflow.nodules.segmenter:embedded_segmenter",
    "evaluate_cubes": "lidcflow.evaluate.cubes:evaluate_cubes",
    "evaluate_nodule_slices": "lidcflow.evaluate.nodule_slices:evaluate_nodule_slices",
    "evaluate_patches": "lidcflow.evaluate.patches:evaluate_patches",
    "evaluate": "flows.evaluate:evaluate",
    "experiment": "flows.experiment:experiment",
    "export_facts": "tasks.release_folder:export_facts",
    "fetch_files": "tasks.source:fetch_files",
    "find_series": "tasks.source:find_series",
    "recalibrate": "lidcflow.learn.nodule_detector:recalibrate",
    "release_facts_folder": "tasks.release_folder:release_facts_folder",
    "inbox_report": "flows.inbox:inbox_report",
    "infer": "flows.infer:infer",
    "infer_here": "flows.infer_here:infer_here",
    "label_readable": "tasks.labels:label_readable",
    "label_string": "lidcflow.labels.slices:label_string",
    "learn_classical": "lidcflow.learn.classical:learn_classical",
    "learn_nodulex": "lidcflow.learn.nodulex:learn_nodulex",
    "learn_triplanar": "lidcflow.learn.triplanar:learn_triplanar",
    "lift": "flows.erase:lift",
    "list_snapshots": "tasks.snapshot_files:list_snapshots",
    "load_release": "tasks.tracking.registry:load_release",
    "log_nodule_comparison": "tasks.tracking.nodule_comparison:log_nodule_comparison",
    "nodule_rows": "lidcflow.experiment.nodule_page:nodule_rows",
    "nodules_of": "lidcflow.labels.lidc:nodules_of",
    "no_labels": "tasks.labels:no_labels",
    "pages": "tasks.tracking.connection:pages",
    "pin_release": "tasks.pin:pin_release",
    "pipeline": "flows.pipeline:pipeline",
    "plan_files": "tasks.source:plan_files",
    "preprocess_cost": "flows.dry_run:preprocess_cost",
    "preprocess": "flows.preprocess:preprocess",
    "pretrain": "lidcflow.learn.pretrain:pretrain",
    "pretrain_malignancy": "lidcflow.learn.malignancy_pretraining:pretrain_malignancy",
    "pretrain_nodules": "lidcflow.learn.nodule_detector:pretrain_nodules",
    "pretrain_segmenter": "lidcflow.learn.segmenter_pretraining:pretrain_segmenter",
    "promote": "tasks.promote:promote",
    "release_in_force": "tasks.tracking.in_force:release_in_force",
    "rendered_nodules": "lidcflow.experiment.nodule_page:rendered_nodules",
    "repair": "flows.repair:repair",
    "require_cubes": "lidcflow.learn.segmenter_pretraining:require_cubes",
    "require_sets": "lidcflow.learn.nodule_sets:require_sets",
    "require_patient_key": "flows.erase:require_patient_key",
    "retrain": "flows.retrain:retrain",
    "rollback": "tasks.promote:rollback",
    "rule_and_value": "lidcflow.config.base:rule_and_value",
    "run_nodule_experiment": "lidcflow.experiment.nodule_figures:run_nodule_experiment",
    "served_pages": "flows.service.links:served_pages",
    "server": "flows.reports.server",
    "size_rows": "lidcflow.experiment.nodule_page:size_rows",
    "temporary_server": "flows.service.temporary_server:temporary_server",
    "status_of": "flows.service.status:status_of",
    "tombstones_in": "lidcflow.erase.tombstones:tombstones_in",
    "tables": "lidcflow.evaluate.tables",
    "train_cost": "flows.dry_run:train_cost",
    "train": "flows.train:train",
    "up": "flows.service.up",
    "write_nodule_comparison": "lidcflow.experiment.nodule_page:write_nodule_comparison",
    "write_facts": "tasks.release_folder:write_facts",
    "write_label_table": "lidcflow.labels.slices:write_label_table",
    "write_phantoms": "flows.phantom:write_phantoms",
}
"""The module of each name, for the running program as above for type checkers; without a colon, the module itself."""


def __getattr__(name: str) -> Any:
    """Import what a name stands for."""
    if name not in _PLACES:
        raise AttributeError(f"flows.cli.lazy must know {name}, which is not in its table")
    module, _, attribute = _PLACES[name].partition(":")
    loaded = import_module(module)
    return getattr(loaded, attribute) if attribute else loaded
