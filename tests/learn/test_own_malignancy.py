import json
from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.learn.kept_model import DIGEST
from lidcflow.learn.own_malignancy import find_own_malignancy, fit_own_malignancy
from lidcflow.nodules.cubes import CUBE_MM
from lidcflow.nodules.malignancy import embedded_malignancy, read_malignancy
from lidcflow.nodules.systems import FindingSystems
from lidcflow.nodules.weight_files import MALIGNANCY
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from tests.learn.rated_cubes import cubes_of, nodule_rows, views_in

FITTED = {"steps": 0, "seed": 0}


def splits_of(rows):
    """Return what systems see of the training and the validation nodules."""
    return [views_in(rows, split) for split in ("train", "validation")]


@pytest.fixture(scope="module")
def rows():
    return nodule_rows(6, 4, 0, unrated=1)


@pytest.fixture(scope="module")
def fitted(rows, tmp_path_factory):
    """Return a kept support vector machine with its folder."""
    folder = tmp_path_factory.mktemp("svm") / "own"
    return folder, fit_own_malignancy("svm", *splits_of(rows), folder, None, **FITTED)


def test_a_system_is_trained_judged_and_kept_once(fitted, rows):
    folder, first = fitted

    again = fit_own_malignancy("svm", None, None, folder, None, **FITTED)

    assert again.facts == first.facts
    assert again.model.sha256 == first.model.sha256 == read_malignancy(folder).sha256
    assert first.model.kind == first.facts.kind == "svm"
    assert first.facts.counts == {
        "unrated_nodules": 1,
        "known_patients": 0,
        "training_malignant": 12,
        "training_benign": 11,
        "training_patients": 6,
        "validation_malignant": 8,
        "validation_benign": 8,
        "validation_patients": 4,
    }


def test_the_answer_is_that_of_a_finding_and_knows_what_is_outside(fitted):
    model = FindingSystems(None, fitted[1].model).malignancy
    cubes = cubes_of("99")

    small, large = (model.answer(cubes[i], CUBE_MM[0], None, size) for i, size in ((0, 5.0), (1, 14.0)))

    assert small.probability < 0.5 < large.probability
    assert "size" not in large.outside
    assert "size" in model.answer(cubes[1], CUBE_MM[0], None, 60.0).outside


def test_figures_of_own_embedded_and_size_are_kept_in_facts_and_card(fitted):
    figures = fitted[1].facts.choice.figures

    for design in ("", "_s1_s45", "_s12_s45"):
        assert {f"auroc{design}{who}" for who in ("", "_embedded", "_size")} <= figures.keys() or design == "_s1_s45"
    assert {
        "log_loss",
        "log_loss_embedded",
        "log_loss_size",
        "auroc_difference",
        "log_loss_difference",
    } <= figures.keys()
    assert fitted[1].model.card["figures"].keys() == figures.keys()
    assert figures["auroc"].value == 1


def test_patients_that_the_embedded_system_was_trained_on_are_counted_in_the_reason(rows, tmp_path):
    named = embedded_malignancy().card["patients"][:2]
    keys = {"patient 6": hash_patient_id(named[0], b"secret"), "patient 7": hash_patient_id(named[1], PUBLIC_KEY)}
    changed = type(rows)(
        rows.table.assign(patient_key=rows.table["patient_key"].replace(keys)), rows.masks, rows.left_out
    )

    found = fit_own_malignancy("size", *splits_of(changed), tmp_path / "own", None, **FITTED, secret=b"secret")

    assert found.facts.counts["known_patients"] == 1
    assert "the embedded one was trained on 1 of the 4 patients" in found.facts.choice.reason
    assert "a baseline" in found.facts.choice.reason
    assert not found.facts.choice.own


def test_networks_come_from_what_trains_them(rows, tmp_path):
    given = {}

    def train(kind, rated, *, on_progress, **options):
        given.update(options, kind=kind, nodules=len(rated.rating))
        on_progress(1, 1)
        raise StopIteration

    with pytest.raises(StopIteration):
        fit_own_malignancy("triplanar", *splits_of(rows), tmp_path / "own", train, steps=7, seed=3)

    assert given == {"kind": "triplanar", "nodules": 23, "malignant_at": 3.0, "steps": 7, "seed": 3}
    assert not (tmp_path / "own").exists()


def test_a_system_with_networks_needs_what_trains_them(rows, tmp_path):
    with pytest.raises(ValueError, match="train: must be what trains the networks of nodulex"):
        fit_own_malignancy("nodulex", *splits_of(rows), tmp_path / "own", None, **FITTED)


@pytest.mark.parametrize("name", [MALIGNANCY.weights, DIGEST, "own.json"])
def test_a_kept_system_that_was_damaged_is_not_found(fitted, tmp_path, name):
    for file in fitted[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert find_own_malignancy(tmp_path) is not None

    (tmp_path / name).write_bytes(b"damaged")

    assert find_own_malignancy(tmp_path) is None


def test_nothing_is_found_where_nothing_was_kept(tmp_path):
    assert find_own_malignancy(tmp_path / "own") is None


def test_a_trained_network_of_nodulex_answers_with_its_forest(rows, tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"first": (3, 3, 5, 32), "second": (3, 3, 32, 64), "features": (576, 64), "logit": (64, 1)}
    arrays = {f"network/{name}/kernel": rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {f"network/{name}/bias": np.zeros(shape[-1], np.float32) for name, shape in shapes.items()}

    def train(*_given, **_options):
        return SimpleNamespace(arrays=arrays, loss=[0.7])

    found = fit_own_malignancy("nodulex", *splits_of(rows), tmp_path / "own", train, **FITTED)

    assert {"auroc_cnn", "auroc_qif_forest", "auroc_s12_s45_cnn"} <= found.facts.choice.figures.keys()
    assert found.facts.choice.figures["auroc"].value == 1
    assert found.facts.loss == [0.7]


def test_no_patient_is_named_in_what_is_kept(fitted):
    folder, _ = fitted

    card = json.loads((folder / MALIGNANCY.card).read_text())

    assert "patients" not in card
    assert "patient 6" not in (folder / "own.json").read_text()
