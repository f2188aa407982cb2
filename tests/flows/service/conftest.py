"""Fixtures for what `lidcflow up` starts."""

import os
import socket

import pytest

from flows.service.processes import ServiceProcess


@pytest.fixture
def service(tmp_path):
    """Return a maker of services that run a line of Python."""

    def make(program, **settings):
        environment = dict(os.environ)
        settings = {"name": "it", "log": tmp_path / "it.log", "grace_s": 0.3, **settings}
        return ServiceProcess(arguments=("-c", program), environment=environment, **settings)

    return make


@pytest.fixture
def taken_port():
    """Yield a port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
