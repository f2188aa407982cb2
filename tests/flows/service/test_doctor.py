"""What the doctor finds, and the way out."""

import pytest

from flows.service.doctor import examine
from flows.service.machine_checks import Level
from lidcflow.config import Config


@pytest.mark.parametrize(
    "name", ["Python", "packages", "engine", "LIDC readings", "compact weights", "workspace", "catalog", "network"]
)
def test_doctor_finds_this_machine_well(name, tmp_path):
    finding = examine(name, Config(workspace=tmp_path))

    assert (finding.level, finding.way_out) == (Level.OK, "")
