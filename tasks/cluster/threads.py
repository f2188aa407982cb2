"""Number of threads of a process that works on a series; distributed is not imported here."""

from __future__ import annotations

from dask.system import CPU_COUNT


def thread_variables(workers: int, *, network: bool) -> dict[str, str]:
    """Return the variables that bound the threads of a process, set before it imports NumPy or TensorFlow.

    Parameters
    ----------
    workers : int
        Processes that work side by side.
    network : bool
        Whether TensorFlow may use the cores that are left for each of them.

    Examples
    --------
    >>> thread_variables(4, network=False)["TF_NUM_INTRAOP_THREADS"]
    '1'
    """
    return {
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        "TF_NUM_INTRAOP_THREADS": str(max(1, CPU_COUNT // workers) if network else 1),
        "TF_NUM_INTEROP_THREADS": "1",
    }
