from types import SimpleNamespace

import numpy as np

from lidcflow.config import SplitConfig, TrainConfig
from lidcflow.experiment.arm import SectorShare, arm_result, find_arm, save_arm
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.stats.estimate import ClassCounts
from tests.learn.arms import result

COUNTS = ClassCounts(non_nodule=1, benign=1, malignant=1)


def share(slices, series, value):
    """A share that says `value` of each slice, plus its number."""
    numbers = np.array(slices)[None, :, None] / 100
    probabilities = {split: np.broadcast_to(value + numbers, (n, len(slices), 3)) for split, n in series.items()}
    return SectorShare(slices, {"accuracy": [0.5]}, 0, COUNTS, probabilities)


def test_the_all_sector_model_answers_for_the_slices_of_a_sector_without_one():
    uids = [f"1.2.{number}" for number in range(30)]
    records = [SimpleNamespace(series_instance_uid=uid, patient_key=uid, volume_digest="d") for uid in uids]
    labels = {uid: np.array([0, 0, 1, 2], dtype=np.int8) for uid in uids}
    snapshot = build_snapshot(records, labels, SplitConfig())
    series = {split: len(snapshot.rows(split)) // 4 for split in ("validation", "test")}
    shares = [share(range(4), series, 0.5), share(range(2, 4), series, 0.1)]

    done = arm_result(
        "f" * 64,
        snapshot,
        TrainConfig(sector_num=2, balance="equal", cap=7),
        sectors=[range(2), range(2, 4)],
        shares=shares,
        reasons=["no benign slice in training", ""],
        synthetic=True,
    )

    answers = np.array(done.held_out["test"].probabilities)[0, :, 0]
    np.testing.assert_allclose(answers, [0.5, 0.51, 0.12, 0.13])
    assert [sector.history for sector in done.sectors] == [{}, {"accuracy": [0.5]}]
    assert (done.sectors[1].first_slice, done.sectors[1].asked, done.sectors[0].available.benign) == (3, 7, 0)


def test_an_arm_is_found_by_its_inputs_alone(tmp_path):
    done = result({0: [0, 0, 1, 2]})

    save_arm(done, tmp_path)

    assert find_arm(tmp_path, done.inputs_digest) == done
    assert find_arm(tmp_path, "e" * 64) is None
    assert find_arm(tmp_path, done.inputs_digest[:16] + "e" * 48) is None


def test_a_file_cut_short_is_no_arm(tmp_path):
    done = result({0: [0, 0, 1, 2]})
    save_arm(done, tmp_path)
    (file,) = tmp_path.iterdir()

    file.write_bytes(file.read_bytes()[:100])

    assert find_arm(tmp_path, done.inputs_digest) is None
