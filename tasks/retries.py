"""When a task is worth another try."""

from typing import Any

from lidcflow.errors import LidcflowError


def is_worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """Retry what may pass, such as a server that went away; not what we know to be wrong."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, LidcflowError)
