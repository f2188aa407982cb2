import asyncio

import pytest
from distributed import Scheduler
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

ROUTES = {"distributed.scheduler.http.routes": ["distributed.http.health", "tasks.cluster.http"]}


async def ask(*paths):
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0", dashboard=False) as scheduler:
        base = f"http://127.0.0.1:{scheduler.http_server.port}"
        return [await answer(base, path) for path in paths]


async def answer(base, path):
    method, _, place = path.partition(" ")
    try:
        got = await AsyncHTTPClient().fetch(base + place, method=method, body=b"{}" if method == "POST" else None)
    except HTTPClientError as error:
        return error.code
    return got.body.decode()


def test_a_scheduler_tells_how_many_workers_it_wants():
    import dask

    with dask.config.set(ROUTES):
        assert asyncio.run(ask("GET /api/v1/adaptive_target")) == ['{"workers": 0}']


@pytest.mark.parametrize(
    "path", ["POST /api/v1/retire_workers", "GET /api/v1/get_workers", "GET /info/main/workers.html"]
)
def test_nobody_takes_its_workers_away_or_looks_into_its_work(path):
    import dask

    with dask.config.set(ROUTES):
        assert asyncio.run(ask(path)) == [404]
