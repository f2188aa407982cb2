"""Result of an inbox round: its report, its state in Prefect, and the row for `lidcflow status`."""

from __future__ import annotations

from prefect.states import Completed, Failed, State
from pydantic import BaseModel

from flows.deliver import InboxSession
from lidcflow.errors import LidcflowError
from lidcflow.inbox.delivery import UNFINISHED, Delivery, Step
from lidcflow.inbox.rounds import Round
from tasks.publish import publish_table

SHOWN_FAILURES = 3


class InboxReport(BaseModel):
    """The result of an inbox round.

    Parameters
    ----------
    release : str
        Name and version of the release that read.
    delivered, refused, failed : int
        Series answered with a reading, answered with a refusal, and those that will be tried again.
    waiting : int
        Series whose studies have not settled, or that wait for another try.
    unreachable : list of str
        A sentence for each source that could not be looked into.
    away : list of str
        A sentence for each target, or source that was looked into, that does not answer.
    owed : dict
        Answers that each target lacks; they are delivered when it is back.
    failures : list of str
        Why series failed, the first few.
    """

    release: str
    delivered: int
    refused: int
    failed: int
    waiting: int
    unreachable: list[str]
    away: list[str] = []
    owed: dict[str, int] = {}
    failures: list[str] = []
    seconds: float
    notice: str = "Research use only."


class RoundFailed(LidcflowError):
    """Every series of a round failed; they are tried again in the next one.

    Parameters
    ----------
    report : InboxReport
        What the round came to.
    """

    def __init__(self, report: InboxReport) -> None:
        super().__init__(
            f"inbox: a round must answer what waits, got {report.failed} failed series and no answer; `lidcflow inbox` "
            f"lists them, and the next round tries them again; {'; also '.join(report.failures)}"
        )
        self.report = report


def state_of(report: InboxReport) -> State[InboxReport]:
    """Return the state that Prefect shows of a round: failed where every series failed, and a sentence."""
    if report.failed and not (report.delivered or report.refused):
        failed = RoundFailed(report)
        return Failed(message=str(failed), data=failed)
    return Completed(message=f"{counts_line(report)}, with {report.release}", data=report)


def counts_line(report: InboxReport) -> str:
    """Return the number of series by what became of them, in a few words."""
    counts = {"delivered": report.delivered, "refused": report.refused, "failed": report.failed}
    done = [f"{count} {name}" for name, count in counts.items() if count] or ["nothing new"]
    return ", ".join([*done, f"{report.waiting} waiting"])


def publish_round(
    answered: list[Delivery], session: InboxSession, unreachable: list[str], *, seconds: float
) -> InboxReport:
    """Sum up, and put what was worked on on the run's page."""
    publish_table("inbox", [_row(one) for one in answered], "Answers of this round, research use only")
    counts = session.ledger.counts()
    of_round = [one.step for one in answered]
    return InboxReport(
        release=f"{session.release.name} version {session.release.version}",
        delivered=of_round.count(Step.DELIVERED),
        refused=of_round.count(Step.REFUSED),
        failed=of_round.count(Step.FAILED) + of_round.count(Step.DEAD),
        waiting=sum(counts.get(step, 0) for step in UNFINISHED),
        unreachable=unreachable,
        away=[sentence for sentence in session.reach.sentences if sentence not in unreachable],
        owed=session.ledger.owed(),
        failures=[one.sentence for one in answered if one.step in (Step.FAILED, Step.DEAD)][:SHOWN_FAILURES],
        seconds=round(seconds, 3),
    )


def round_of(report: InboxReport) -> Round:
    """Return what `lidcflow status` keeps of a round."""
    return Round(
        unreachable=tuple(report.unreachable),
        delivered=report.delivered,
        refused=report.refused,
        failed=report.failed,
        waiting=report.waiting,
    )


def _row(one: Delivery) -> dict[str, str]:
    return {
        "study": one.study_instance_uid,
        "series": one.series_instance_uid,
        "step": one.step,
        "reason": one.sentence,
    }
