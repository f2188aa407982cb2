"""The pages of the reports, their voxels, and the one thing that can be sent: feedback."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from flows.reports.origin import OriginChecked
from flows.reports.site import Site
from flows.service.same_origin import own_names
from lidcflow.config import Config
from lidcflow.errors import FeedbackRefused, StoreError
from lidcflow.report.folder import ReportKey, read_plain, read_recommendation, report_folder
from lidcflow.report.index import Filter, page_of, releases_of
from lidcflow.report.marks import Mark, MarkKind, about_recommendation, marks_in_force, read_feedback
from lidcflow.report.page import DATA, PAGE, page_templates, script_hash
from lidcflow.report.recommendation import Recommendation
from lidcflow.report.viewer import render_index, render_study, render_unreadable, static_file

MOST_BYTES = 4096
"""A mark is 200 bytes."""

FASTEST = 1
"""Level of gzip: half of the bytes in 0.1 s; more takes longer than a network does."""

KEPT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content policy of pages that are kept as files: they contain all that they need."""


def make_app(config: Config) -> OriginChecked:
    """Return the server of a workspace's reports as an ASGI application."""
    series = "/studies/{study}/{series}"
    routes = [
        Route("/", reports_index),
        Route("/health", lambda _: PlainTextResponse("ok")),
        Route("/static/{name}", static),
        Route(f"{series}/", study),
        Route(f"{series}/voxels", voxels),
        Route(f"{series}/feedback", feedback, methods=["GET"]),
        Route(f"{series}/feedback", give_feedback, methods=["POST"]),
        Route(f"{series}/{PAGE}", report_file_response(PAGE, "text/html")),
        Route(f"{series}/{DATA}", report_file_response(DATA, "application/json")),
        Route(f"/{{kind}}/{{name}}/{PAGE}", other_page),
    ]
    app = Starlette(routes=routes)
    app.state.site = Site(config)
    return OriginChecked(app, own_names(config.serve.host, config.serve.hosts))


def reports_index(request: Request) -> Response:
    """List the reports that match the filter."""
    site = site_of(request)
    query = request.query_params
    chosen = Filter(**{name: query.get(name, "") for name in ("verdict", "release", "since", "until", "uid")})
    number = int(query["page"]) if query.get("page", "").isdecimal() and len(query["page"]) < 7 else 1
    entries = site.listing.entries()
    page = page_of([entry for entry in entries if chosen(entry)], number)
    return HTMLResponse(render_index(page, chosen, releases_of(entries), list(site.other_pages())))


def study(request: Request) -> Response:
    """Show one reading, or why it can't be shown."""
    key = key_of(request)
    try:
        said = requested_recommendation(request)
    except StoreError as error:
        return HTMLResponse(render_unreadable(key, str(error)), 500)
    site = site_of(request)
    return HTMLResponse(render_study(said, site.read_hu(said), site.read_planes(said)))


def voxels(request: Request) -> Response:
    """Send the volume that was read: (2, slices, rows, columns) little-endian int16 in HU."""
    hu = site_of(request).read_hu(requested_recommendation(request))
    if hu is None:
        raise HTTPException(404)
    body, headers = np.ascontiguousarray(hu, dtype="<i2").tobytes(), {}
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers = gzip.compress(body, FASTEST), {"Content-Encoding": "gzip"}
    return Response(body, media_type="application/octet-stream", headers=headers)


def feedback(request: Request) -> Response:
    """Return which marks count."""
    said = requested_recommendation(request)
    folder = report_folder(site_of(request).root, key_of(request))
    return marks_response(said, read_feedback(folder) if folder else ())


async def give_feedback(request: Request) -> Response:
    """Keep a mark, and return those that count now."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return PlainTextResponse("Feedback must be JSON.", 415)
    try:
        saying = MarkKind.model_validate_json(await body_of(request))
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        return PlainTextResponse(f"{'.'.join(map(str, wrong['loc'])) or 'feedback'}: {wrong['msg']}", 422)
    return await run_in_threadpool(add_mark_response, request, saying)


def add_mark_response(request: Request, saying: MarkKind) -> Response:
    """Keep a mark about a report that is there."""
    said = requested_recommendation(request)
    try:
        return marks_response(said, site_of(request).keep(key_of(request), said, saying))
    except (FeedbackRefused, StoreError) as error:
        return PlainTextResponse(str(error), 409)


def marks_response(said: Recommendation, marks: tuple[Mark, ...]) -> Response:
    """Answer with the marks on the reading in force, and how many are on earlier ones."""
    counting = marks_in_force(marks)
    shown = about_recommendation(counting, said)
    earlier = len(counting) - len(shown)
    return JSONResponse({"marks": [mark.model_dump(mode="json") for mark in shown], "earlier": earlier})


def report_file_response(name: str, media_type: str) -> Callable[[Request], Response]:
    """Return an answer with a file of a report as it lies there."""

    def answer(request: Request) -> Response:
        folder = report_folder(site_of(request).root, key_of(request))
        return file_response(read_plain(folder / name) if folder else None, media_type)

    return answer


def other_page(request: Request) -> Response:
    """Show the page of an evaluation or an experiment."""
    file = site_of(request).other_page(request.path_params["kind"], request.path_params["name"])
    return file_response(read_plain(file) if file else None, "text/html")


def file_response(body: bytes | None, media_type: str) -> Response:
    """Answer with a file that holds all it needs."""
    if body is None:
        raise HTTPException(404)
    policy = KEPT_POLICY.format(script_hash(page_templates()))
    return Response(body, media_type=media_type, headers={"Content-Security-Policy": policy})


def static(request: Request) -> Response:
    """Send a style sheet or a script."""
    found = static_file(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    return Response(found[0], media_type=found[1])


def site_of(request: Request) -> Site:
    """Return what the server knows."""
    site: Site = request.app.state.site
    return site


def key_of(request: Request) -> ReportKey:
    """Return which report a request names."""
    parameters: dict[str, Any] = request.path_params
    return ReportKey(parameters["study"], parameters["series"])


def requested_recommendation(request: Request) -> Recommendation:
    """Return the recommendation that a request names; 404 where there is none."""
    said = read_recommendation(site_of(request).root, key_of(request))
    if said is None:
        raise HTTPException(404)
    return said


async def body_of(request: Request) -> bytes:
    """Read what was sent, up to a limit."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise HTTPException(413)
    except ClientDisconnect:  # or it took too long to send; nobody is left to read the answer
        raise HTTPException(408) from None
    return body
