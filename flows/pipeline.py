"""The whole way: preprocess an archive, train on it, read what waits."""

from __future__ import annotations

from prefect import flow
from pydantic import BaseModel

from flows.given import given, source_of
from flows.infer import InferReport, infer
from flows.preprocess import PreprocessReport, preprocess
from flows.train import TrainReport, train
from lidcflow.config import Config


class PipelineReport(BaseModel):
    """What each stage came to; `infer` is None when nothing was to be read."""

    preprocess: PreprocessReport
    train: TrainReport
    infer: InferReport | None
    notice: str = "Research use only."


@flow(name="pipeline")
def pipeline(archive: str | None = None, config: Config | None = None, inbox: str | None = None) -> PipelineReport:
    """Bring an archive into the store, train a release on it, and read the series of an inbox with the one in force.

    Parameters
    ----------
    archive : str, optional
        Where the images are; by default the archive of the configuration.
    config : Config, optional
        Settings over those of the worker.
    inbox : str, optional
        What is read; by default nothing.
    """
    config = given(config)
    archive = source_of(archive, config.archive, "archive")
    preprocessed = preprocess(archive, config)
    trained = train(config)
    return PipelineReport(preprocess=preprocessed, train=trained, infer=None if inbox is None else infer(inbox, config))
