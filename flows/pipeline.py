"""The whole way: preprocess an archive, train on it, read what waits."""

from __future__ import annotations

from prefect import flow
from pydantic import BaseModel

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
def pipeline(archive: str, config: Config, inbox: str | None = None) -> PipelineReport:
    """Bring `archive` into the store, train a release on it, and read the series of `inbox` with the one in force."""
    preprocessed = preprocess(archive, config)
    trained = train(config)
    return PipelineReport(preprocess=preprocessed, train=trained, infer=None if inbox is None else infer(inbox, config))
