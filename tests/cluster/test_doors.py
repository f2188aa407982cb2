"""Who gets into the servers of `lidcflow up`: its user, with browser, `prefect` and `mlflow`, and no page elsewhere."""

import asyncio
import functools
import http.server
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.client.schemas.objects import StateType
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from flows.service.password import known_password
from tests.browser import chromium, needs_chromium, open_page, requests_of  # noqa: F401
from tests.cluster.test_up import RUN_LIMIT_S, STOP_LIMIT_S, Up, settings_of

TOOLS = Path(sys.executable).parent
PAGE_LIMIT_S = 180
ELSEWHERE = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "evil.example"},
    {"Host": "LOCALHOST.evil.example.:80"},
]
READ, SENT = ("GET", None), ("POST", "{}")


@pytest.fixture(scope="module")
def up(tmp_path_factory, ct_series):
    """A served workspace that nothing is scheduled in."""
    served = Up(settings_of(tmp_path_factory.mktemp("doors"), ct_series, cron="0 1 1 1 *"))
    yield served
    served.process.send_signal(signal.SIGINT)
    served.process.wait(STOP_LIMIT_S)
    assert served.survivors() == []


def address(up, server):
    return f"http://127.0.0.1:{getattr(up.config.serve, f'{server}_port')}"


@pytest.fixture
def ask(up):
    """Ask a server as somebody who knows the password."""
    user, _, password = known_password(up.config.prefect_home).partition(":")
    with httpx.Client(auth=(user, password), trust_env=False, timeout=60) as client:

        def asked(server, path, method="GET", content=None, **headers):
            return client.request(method, address(up, server) + path, content=content, headers=headers)

        yield asked


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("prefect", "/"),
        ("prefect", "/api/admin/version"),
        ("prefect", "/api/flow_runs/filter"),
        ("mlflow", "/"),
        ("mlflow", "/ajax-api/2.0/mlflow/experiments/search"),
        ("mlflow", "/graphql"),
        ("mlflow", "/api/2.0/mlflow-artifacts/artifacts/x"),
    ],
)
def test_a_page_elsewhere_is_told_nothing_and_changes_nothing_even_with_the_password(ask, server, path, headers):
    for method, content in (READ, SENT):
        for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
            answer = ask(server, path, method, content, **headers, **{"Content-Type": kind})
            assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (403, None)
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert ask(server, path, "OPTIONS", **headers, **preflight).status_code == 403


def test_prefect_is_told_the_password_and_a_token_before_it_does_anything(up, ask):
    stranger = httpx.get(f"{address(up, 'prefect')}/api/flow_runs/count", trust_env=False)

    assert stranger.status_code == 401
    assert httpx.get(f"{address(up, 'prefect')}/api/csrf-token?client=x", trust_env=False).status_code == 401
    assert ask("prefect", "/api/admin/version").status_code == 200
    assert "CSRF" in ask("prefect", "/api/flow_runs/count", *SENT, **{"Content-Type": "application/json"}).text


@pytest.mark.parametrize("path", ["/api/events/in", "/api/events/out", "/api/logs/out"])
def test_a_page_elsewhere_opens_no_websocket(up, path):
    async def opened(origin):
        async with connect(
            f"ws://127.0.0.1:{up.config.serve.prefect_port}{path}", origin=origin, subprotocols=["prefect"], proxy=None
        ):
            return True

    assert asyncio.run(opened(None))
    assert asyncio.run(opened(address(up, "prefect")))
    with pytest.raises(InvalidStatus, match="403"):
        asyncio.run(opened("http://evil.example"))


def test_the_worker_runs_no_command_that_a_run_brings_past_the_check(up, tmp_path):
    mark = tmp_path / "mark"
    brought = {"command": f"touch {mark}", "env": {"LD_PRELOAD": "/nowhere.so", "PYTHONPATH": "/nowhere"}}
    with up.client() as client:
        drift = client.read_deployment_by_name("drift/drift")
        queue = client.read_work_queue(drift.work_queue_id)
        made = client.request(
            "POST",
            "/flow_runs/",
            json={
                "flow_id": str(drift.flow_id),
                "deployment_id": str(drift.id),
                "work_pool_name": "lidcflow",
                "work_queue_name": queue.name,
                "state": {"type": "SCHEDULED"},
                "job_variables": brought,
            },
        ).json()

    ended = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED)
    up.wait_for(lambda: up.state_of(made["id"]) in ended, RUN_LIMIT_S)

    assert made["job_variables"] == brought
    assert not mark.exists()
    with up.client() as client:
        assert "there must be a release" in client.read_flow_run(made["id"]).state.message  # the flow itself was run


def test_mlflow_lends_nobody_a_shell(ask):
    assert ask("mlflow", "/ajax-api/3.0/mlflow/assistant/config").status_code == 404
    assert ask("mlflow", "/ajax-api/2.0/mlflow/experiments/search?max_results=1").status_code == 200


def test_the_printed_lines_let_prefect_in_and_the_password_is_printed_nowhere(up):
    printed = up.output.read_text()
    export = next(line for line in printed.splitlines() if line.startswith("  export PREFECT_API_URL="))
    tracking = {"MLFLOW_TRACKING_URI": address(up, "mlflow")}

    prefect = in_shell(f"{export}\n{TOOLS / 'prefect'} deployment ls")
    mlflow = in_shell(f"{TOOLS / 'mlflow'} experiments search", **tracking)
    status = in_shell(f"{TOOLS / 'lidcflow'} status --json --workspace {up.config.workspace}")
    logs = [file.read_text() for file in (up.config.workspace / "logs").glob("*.log")]

    assert "drift/drift" in prefect
    assert "Default" in mlflow
    assert '"drift"' in status
    password = known_password(up.config.prefect_home)
    assert not any(password in text for text in (printed, status, *logs))
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert any("flows.service.prefect_app" in command for command in commands)
    assert not any(password in command for command in commands)


def in_shell(command, **variables):
    named = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_HOME")
    own = {name: value for name, value in os.environ.items() if name not in named}
    return subprocess.check_output(["sh", "-c", command], env=own | variables | {"COLUMNS": "200"}, text=True)


ATTACK = """
<script>
const tried = {};
const attempt = async (name, url, options) => {
  try { const answer = await fetch(url, options); tried[name] = answer.type === "opaque" ? "opaque" : answer.status; }
  catch (error) { tried[name] = "refused"; }
};
(async () => {
  const [prefect, mlflow] = location.hash.slice(1).split(",");
  const json = {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"};
  const text = {"Content-Type": "text/plain"};
  const plain = {method: "POST", mode: "no-cors", headers: text, body: '{"name": "by a page"}'};
  await attempt("prefect read", `${prefect}/api/admin/version`);
  await attempt("prefect json", `${prefect}/api/deployments/filter`, json);
  await attempt("mlflow read", `${mlflow}/ajax-api/2.0/mlflow/experiments/search?max_results=9`);
  await attempt("mlflow json", `${mlflow}/ajax-api/2.0/mlflow/experiments/create`, json);
  await fetch(`${mlflow}/ajax-api/2.0/mlflow/experiments/create`, plain).catch(() => 0);
  await fetch(`${mlflow}/api/2.0/mlflow/experiments/create`, plain).catch(() => 0);
  document.title = JSON.stringify(tried);
})();
</script>
"""


@contextmanager
def site(folder):
    """Serve a folder as another site does, on a port of its own."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"localhost:{server.server_port}"
        server.shutdown()


@needs_chromium
@pytest.mark.parametrize("of_this_machine", [False, True], ids=["another site", "another port"])
def test_a_page_elsewhere_in_a_browser_reads_and_makes_nothing(up, ask, chromium, tmp_path, of_this_machine):  # noqa: F811
    (tmp_path / "page.html").write_text(ATTACK)
    with site(tmp_path) as where:
        page = where if not of_this_machine else where.replace("localhost", "127.0.0.1")
        targets = f"{address(up, 'prefect')},{address(up, 'mlflow')}"
        open_page(chromium, f"http://{page}/page.html#{targets}", width=800)
        WebDriverWait(chromium, PAGE_LIMIT_S).until(lambda driver: driver.title.startswith("{"))

    refused = dict.fromkeys(("prefect read", "prefect json", "mlflow read", "mlflow json"), "refused")
    assert chromium.execute_script("return JSON.parse(document.title)") == refused
    assert "by a page" not in ask("mlflow", "/ajax-api/2.0/mlflow/experiments/search?max_results=9").text


@needs_chromium
def test_the_user_logs_in_and_starts_a_run_from_its_form_and_no_page_asks_the_internet(up, chromium):  # noqa: F811
    def wait(condition):
        redrawn = [StaleElementReferenceException]  # while the page is drawn
        return WebDriverWait(chromium, PAGE_LIMIT_S, ignored_exceptions=redrawn).until(condition)

    def shows(text):
        return lambda driver: text in driver.find_element(By.TAG_NAME, "body").text

    with up.client() as client:
        drift = client.read_deployment_by_name("drift/drift")
        before = {run.id for run in client.read_flow_runs()}

    open_page(chromium, address(up, "prefect"), width=1300)
    wait(lambda driver: driver.find_elements(By.CSS_SELECTOR, "input[type=password]"))
    chromium.find_element(By.CSS_SELECTOR, "input[type=password]").send_keys(known_password(up.config.prefect_home))
    chromium.find_element(By.TAG_NAME, "button").click()
    wait(shows("Flow Runs"))
    asked = requests_of(chromium)
    open_page(chromium, f"{address(up, 'prefect')}/v2/deployments/deployment/{drift.id}/run", width=1300)
    wait(shows("Submit"))
    submit = next(one for one in chromium.find_elements(By.TAG_NAME, "button") if one.text == "Submit")
    chromium.execute_script("arguments[0].click()", submit)
    up.wait_for(lambda: by_hand(up, drift.id) - before, PAGE_LIMIT_S)
    asked += requests_of(chromium)
    open_page(chromium, f"{address(up, 'mlflow')}/#/models?workflowType=machine_learning", width=1300)
    wait(shows("Registered Models"))
    asked += requests_of(chromium)

    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {
        address(up, server).removeprefix("http://") for server in ("prefect", "mlflow")
    }


def by_hand(up, deployment):
    with up.client() as client:
        runs = client.read_flow_runs()
    return {run.id for run in runs if run.deployment_id == deployment and not run.auto_scheduled}
