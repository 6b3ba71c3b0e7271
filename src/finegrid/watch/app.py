"""The pages of `finegrid watch`: a study's report, read-only, for browsers on this machine alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finegrid import ASSETS
from finegrid.running.progress.heartbeat import read_heartbeat
from finegrid.watch.sources import find_last_run, find_places, hash_sources
from finegrid.watch.view import PageMaker, View
from finegrid.watch.viewer import Viewer, choose_rest

PAGE = ASSETS / "watch"
# A name of another host in this header is a page elsewhere whose name was made to point here (DNS rebinding).
HOSTS = ["localhost", "127.0.0.1", "[::1]"]
# The report carries its scripts and styles in itself and names their hashes in a policy of its own: a browser
# keeps to both. Nothing is fetched but from here.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-cache",  # keep it, but ask whether it still holds
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(folder: Path, make: PageMaker, rest: Callable[[float], float] = choose_rest) -> Starlette:
    """The application.

    Args:
        folder: of a study, which need not be there yet.
        make: how its page is made.
        rest: seconds without another making of the page, after one that took so many.
    """
    viewer = Viewer(folder, make, rest)

    async def page(request: Request) -> Response:
        if unchanged := answer_if_unchanged(request, hash_sources(folder)):
            return unchanged
        view = await viewer.view()
        return answer(request, view, add_script(view.page, view.problem, view.revision), "text/html")

    async def facts(request: Request) -> Response:
        if unchanged := answer_if_unchanged(request, hash_sources(folder)):
            return unchanged
        view = await viewer.view()
        if not view.facts:
            return JSONResponse({"problem": view.problem}, 503)
        return answer(request, view, view.facts, "application/json")

    async def progress(request: Request) -> Response:
        return JSONResponse(collect_progress(folder, viewer.latest))

    async def script(request: Request) -> Response:
        return Response(asset("watch.js"), media_type="text/javascript")

    async def no_icon(request: Request) -> Response:
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/report.json", facts),
            Route("/progress.json", progress),
            Route("/watch.js", script),
            Route("/favicon.ico", no_icon),
        ],
        middleware=[
            Middleware(HeaderMiddleware),
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        ],
    )


class HeaderMiddleware:
    """Puts our headers on every response, refusals included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def answer_if_unchanged(request: Request, revision: str) -> Response | None:
    """304 if that is what the browser has."""
    tags = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    return (
        Response(status_code=304, headers={"ETag": make_tag(revision)})
        if make_tag(revision) in tags
        else None
    )


def answer(request: Request, view: View, content: bytes, kind: str) -> Response:
    headers = {"ETag": make_tag(view.revision)}
    return answer_if_unchanged(request, view.revision) or Response(content, headers=headers, media_type=kind)


def make_tag(revision: str) -> str:
    return f'"{revision}"'


@lru_cache(maxsize=1)  # the same bytes for all who ask at once: a page may have megabytes
def add_script(page: str, problem: str, revision: str) -> bytes:
    """The page of a view, with the script that keeps it up to date."""
    kind = "report" if page else "waiting"
    page = page or environment().get_template("waiting.html.jinja").render(problem=problem)
    head, end, tail = page.rpartition("</body>")
    script = f'<script src="/watch.js" data-revision="{revision}" data-kind="{kind}"></script>'
    whole = f"{head}<style>{asset('watch.css')}</style>\n{script}\n{end}{tail}"
    return whole.encode("utf-8", "replace")


def collect_progress(folder: Path, view: View | None) -> dict[str, Any]:
    """What changes from second to second."""
    work = next(
        (heartbeat for place in find_places(folder) if (heartbeat := read_heartbeat(place)) is not None), None
    )
    return {
        "revision": hash_sources(folder),
        "now": time.time(),
        "last_run": find_last_run(folder),
        "work": work,
        "runs": view.runs if view else None,
        "seconds_left": view.seconds_left if view else None,
        "problem": view.problem if view else "",
    }


@cache
def asset(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    return Environment(
        loader=PackageLoader("finegrid", "assets/watch"), autoescape=True, undefined=StrictUndefined
    )
