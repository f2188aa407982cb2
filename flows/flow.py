"""Prefect's `flow`, whose runs end when their work has ended.

At the end of a run, and of each flow in it, Prefect waits for the thread of its heartbeat, which sleeps for a second at
a time: half a second on average. Nothing depends on that thread's end; flows that are coroutines don't wait either.
"""

from __future__ import annotations

from functools import partial
from inspect import signature

from prefect import flow as flow
from prefect import flow_engine


def _end_at_once() -> None:
    send = getattr(flow_engine, "_send_heartbeats", None)
    if send is not None and "join_on_exit" in signature(send).parameters:
        flow_engine._send_heartbeats = partial(send, join_on_exit=False)


_end_at_once()
