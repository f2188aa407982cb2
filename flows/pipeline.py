"""The whole way: preprocess an archive, train on it, read what waits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, resolve_config, resolve_source
from flows.flow import flow
from flows.infer import infer
from flows.infer_report import InferReport
from flows.preprocess import PreprocessReport, preprocess
from flows.train import TrainReport, train
from tasks.run_page import name_run


class PipelineReport(BaseModel):
    """Results of each stage; `infer` is None if nothing was to be processed."""

    preprocess: PreprocessReport
    train: TrainReport
    infer: InferReport | None
    notice: str = "Research use only."


@flow(name="pipeline")
def pipeline(
    archive: Annotated[
        str | None, ParameterHelp("Where the images are; nothing: the archive of the configuration.")
    ] = None,
    config: Settings = None,
    inbox: Annotated[str | None, ParameterHelp("Series to read with the release that is in force then.")] = None,
) -> PipelineReport:
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
    config = resolve_config(config)
    archive = resolve_source(archive, config.archive, "archive")
    name_run(f"pipeline: preprocess, train{'' if inbox is None else ', read'}", config)
    preprocessed = preprocess(archive, config)
    trained = train(config)
    return PipelineReport(preprocess=preprocessed, train=trained, infer=None if inbox is None else infer(inbox, config))
