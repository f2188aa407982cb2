"""A round through the inbox that is killed: ``python -m tests.inbox_round N < config.json``.

The process kills itself just before it takes its N-th step, a transition of the ledger or a delivery: what the step
before did is done, and what followed from it is not. With N of 0 it ends by itself.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import flows.deliver
import flows.inbox
from lidcflow.config import Config
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.receipts import Receipts

STEPS = ("see", "settle", "advance", "refuse", "fail", "defer")
"""Methods of the ledger that change it."""


def watch(before: Callable[[], None], patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Have a function called before each step.

    Parameters
    ----------
    before : callable
        Called without arguments.
    patch : callable
        Sets an attribute of an object, and may undo it later.
    """

    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            before()
            return step(*args, **options)

        return call

    for name in STEPS:
        patch(Ledger, name, watched(getattr(Ledger, name)))
    for name in ("add", "owe"):
        patch(Receipts, name, watched(getattr(Receipts, name)))
    patch(flows.deliver, "deliver", watched(flows.deliver.deliver))


def main(last: int, config: Config) -> None:
    """Go through the inbox, until the step before which it ends."""
    count = itertools.count(1)

    def die_at_last() -> None:
        if next(count) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(die_at_last)
    flows.inbox.inbox_report(config)


if __name__ == "__main__":
    main(int(sys.argv[1]), Config.model_validate_json(sys.stdin.read()))
