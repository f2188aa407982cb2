"""Fixtures of an evaluation for all tests of this folder."""

from tests.evaluations import answers, evaluation, truth  # noqa: F401
