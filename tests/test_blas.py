"""NumPy's BLAS is kept to one thread, and looked for once in a process."""

from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from lidcflow.blas import one_blas_thread


def threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas" and "numpy" in one["filepath"]}


def test_blas_has_one_thread_inside_and_what_it_had_afterwards():
    with threadpool_limits(3, "blas"):
        with one_blas_thread():
            inside = threads()
        afterwards = threads()

    assert inside == {1}
    assert afterwards == {3}


def test_the_libraries_are_looked_for_once(monkeypatch):
    with one_blas_thread():
        pass
    searched = []
    monkeypatch.setattr(ThreadpoolController, "_load_libraries", lambda self: searched.append(self))

    with one_blas_thread():
        pass

    assert not searched
