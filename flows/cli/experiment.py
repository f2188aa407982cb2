"""The command that runs experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.nodule_experiment import Data, Out, run_on_nodules
from flows.cli.options import AsJson, ConfigFile, Workspace, configured, wrong_usage
from flows.cli.output import NOTICE, SOME_LACKING, print_json, print_line, print_table
from flows.cli.session import flow_session
from lidcflow.config import Config
from lidcflow.config.validators import in_a_line
from lidcflow.experiment.builtin import arms_of, experiments_of
from lidcflow.experiment.published import NODULE_EXPERIMENTS
from lidcflow.learn.backend import require_backend_for

if TYPE_CHECKING:
    from flows.experiment import ExperimentReport
    from lidcflow.experiment.comparison import Compared, Spread


def experiment(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the experiment, as --list shows it.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the available experiments.")] = False,
    data: Data = None,
    out: Out = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Train the configurations of an experiment and compare them on one page; no release is made.

    With --data, compare systems of malignancy on rated nodules instead: nodulex, triplanar or classical.
    """
    config = configured(config_file, workspace)
    if show_list and name is not None:
        raise typer.BadParameter(f"--list lists all experiments, got {name} as well; give one of them")
    if show_list:
        return _print_list(config, as_json)
    if name is None:
        raise typer.BadParameter("name an experiment, or ask for --list")
    if name in NODULE_EXPERIMENTS and name not in config.experiments:
        return run_on_nodules(name, data, out, config, as_json)
    known = sorted({*experiments_of(config.experiments), *NODULE_EXPERIMENTS})
    if name not in known:
        raise typer.BadParameter(
            f"must be one of {', '.join(known)}, got {in_a_line(name)}; or add [experiments.{in_a_line(name)}]",
            param_hint="NAME",
        )
    if data is not None or out is not None:
        raise typer.BadParameter(f"--data and --out are for {', '.join(NODULE_EXPERIMENTS)}, got {name}")
    with wrong_usage("NAME"):
        arms_of(name, config)  # refuse a wrong name before anything starts
    require_backend_for(config)
    with flow_session(config, "experiment"):
        report = lazy.experiment(name, config)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if report.comparison.failed:
        raise typer.Exit(SOME_LACKING)
    return None


def _print_list(config: Config, as_json: bool) -> None:
    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "question": one.question,
            "own": name in config.experiments,
            "arms": [arm.name for arm in arms_of(name, config)],
        }
        for name, one in experiments_of(config.experiments).items()
    ]
    listed += [
        {"name": name, "question": one.question, "own": False, "arms": list(one.systems), "data": "nodule-slices"}
        for name, one in NODULE_EXPERIMENTS.items()
        if name not in config.experiments
    ]
    if as_json:
        print_json({"experiments": listed, "notice": NOTICE})
    else:
        rows = [(one["name"], len(one["arms"]), "; ".join(one["arms"]), one["question"]) for one in listed]
        print_table(f"{len(listed)} experiments", ("name", "number", "arms", "question"), rows)


def _print_report(report: ExperimentReport) -> None:
    comparison = report.comparison
    columns = (
        "configuration",
        "seeds",
        "training accuracy",
        "accuracy",
        "balanced accuracy",
        "AUROC nodule",
        "log loss",
    )
    title = f"Experiment {comparison.experiment}, on {comparison.patients['test']} test patients"
    print_table(title, columns, [_row(one) for one in comparison.configurations])
    for arm, reason in comparison.failed.items():
        print_line(f"{arm} failed: {reason}")
    trained = len(comparison.arms) - len(report.reused)
    print_line(
        f"{trained} arms trained, {len(report.reused)} reused unchanged, {len(comparison.failed)} failed, "
        f"in {report.seconds:.0f} s. {NOTICE}"
    )
    print_line(str(report.page))


def _row(one: Compared) -> tuple[Any, ...]:
    names = ("accuracy", "balanced_accuracy", "auroc_nodule", "log_loss")
    training = one.figures["training"]["accuracy"]
    test = one.figures["test"]
    return (one.name, len(one.seeds), _worded(training), *(_worded(test[name]) for name in names))


def _worded(spread: Spread) -> str | None:
    if spread.value is None:
        return None
    return f"{spread.value:.3f}" + ("" if spread.low is None else f" ({spread.low:.2f} to {spread.high:.2f})")
