"""`finegrid watch`: a study's page for browsers on this machine, whatever state the study is in."""

from __future__ import annotations

import html
import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from starlette.testclient import TestClient
from support.pretend import pretend
from support.served import served
from support.studies import open_study, write_study
from support.waiting import wait_until

from finegrid.audit.costs import make_audit
from finegrid.errors import InputError, input_error
from finegrid.running.progress.study_progress import StudyProgress
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.folder import PROGRESS_FILE
from finegrid.study.ledger import Ledger
from finegrid.study.load import load_study
from finegrid.study.record import Record
from finegrid.watch import viewer
from finegrid.watch.app import make_app
from finegrid.watch.connection import Connection
from finegrid.watch.serve import LOOPBACK, listen
from finegrid.watch.sources import hash_sources
from finegrid.watch.view import PageMaker
from finegrid.watch.viewer import PAUSE_SECONDS, choose_rest


class Report:
    """Stands in for the real report: how many runs there are. Counts how often it was made."""

    def __init__(self) -> None:
        self.made = 0

    def facts(self, folder: Path) -> Any:
        self.made += 1
        if not (folder / "study.toml").exists():
            raise input_error(str(folder), "study.toml", "no such <file>.")
        text = (folder / "study.toml").read_text(encoding="utf-8")
        if text == "broken":
            raise ValueError("broken by\x1b[31m hand")
        return {"runs": len(list(Ledger(folder / "runs.jsonl"))), "text": text}

    def page(self, facts: Any, *, live: bool) -> str:
        assert live
        text = html.escape(facts["text"])
        return f"<!doctype html><body><main>{facts['runs']} runs of {text}</main></body></html>"


@pytest.fixture
def report() -> Report:
    return Report()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a study of which one run has ended."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text("a study")
    grow(folder)
    return folder


@pytest.fixture
def client(study: Path, report: Report) -> TestClient:
    return client_of(study, report)


def client_of(folder: Path, report: Report, rest: float = 0.0) -> TestClient:
    return TestClient(
        make_app(folder, PageMaker(report.facts, report.page), lambda took: rest),
        base_url="http://127.0.0.1:80",
    )


def grow(folder: Path) -> None:
    Ledger(folder / "runs.jsonl").append(Record(run_id="x", seed=0, status="done"))


def test_the_page_changes_as_the_ledger_grows(study: Path, client: TestClient) -> None:
    before = client.get("/")
    grow(study)
    after = client.get("/")

    assert "1 runs of a study" in before.text and "2 runs of a study" in after.text
    assert before.headers["etag"] != after.headers["etag"]
    assert client.get("/report.json").json() == {"runs": 2, "text": "a study"}
    assert client.get("/progress.json").json()["revision"] == after.headers["etag"].strip('"')


def test_the_page_names_the_revision_it_was_made_of_and_loads_the_script(client: TestClient) -> None:
    page = client.get("/")
    tag = f'<script src="/watch.js" data-revision={page.headers["etag"]} data-kind="report"></script>'

    assert page.text.index("</main>") < page.text.index(tag) < page.text.index("</body>")
    assert client.get("/watch.js").headers["content-type"].startswith("text/javascript")


def test_asking_again_costs_nothing_while_nothing_has_changed(
    study: Path, client: TestClient, report: Report
) -> None:
    tag = client.get("/").headers["etag"]
    again = [client.get(path, headers={"If-None-Match": f'"x", {tag}'}) for path in ("/", "/report.json")]
    whole = client.get("/")

    assert [answer.status_code for answer in again] == [304, 304] and not again[0].content
    assert whole.status_code == 200 and report.made == 1
    (study / PROGRESS_FILE).write_text("{}")  # what the study is at is not what the page is made of
    assert client.get("/", headers={"If-None-Match": tag}).status_code == 304


class Clock:
    """Stands in for ``time``: goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return 0.0


def test_after_a_page_was_made_there_is_a_rest(
    study: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(viewer, "time", clock)
    client = client_of(study, report, rest=60.0)
    first = client.get("/")
    grow(study)
    clock.now += 59.9
    soon = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    clock.now += 0.2
    later = client.get("/", headers={"If-None-Match": first.headers["etag"]})

    assert soon.status_code == 304  # nothing newer than what the browser has
    assert later.status_code == 200 and "2 runs" in later.text
    assert report.made == 2


def test_a_study_that_is_not_there_yet_is_waited_for(tmp_path: Path, report: Report) -> None:
    folder = tmp_path / "later"
    client = client_of(folder, report)
    waiting = client.get("/")
    nothing = client.get("/report.json")
    folder.mkdir()
    (folder / "study.toml").write_text("a study")

    assert waiting.status_code == 200 and 'data-kind="waiting"' in waiting.text
    assert "no such &lt;file&gt;." in waiting.text
    assert nothing.status_code == 503 and "no such <file>." in nothing.json()["problem"]
    assert "0 runs of a study" in client.get("/").text


def test_damage_is_told_beside_the_page_before_it_and_mended(
    study: Path, client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get("/")
    (study / "study.toml").write_text("broken")
    damaged = client.get("/")
    problem = client.get("/progress.json").json()["problem"]
    (study / "study.toml").write_text("mended study")

    assert "1 runs of a study" in damaged.text
    assert r"ValueError: broken by\x1b[31m hand" in problem
    assert "ValueError" in capsys.readouterr().err  # in full for whoever started the watch
    assert "1 runs of mended study" in client.get("/").text
    assert client.get("/progress.json").json()["problem"] == ""


def test_a_study_that_starts_afresh_is_shown_afresh(study: Path, client: TestClient) -> None:
    client.get("/")
    shutil.rmtree(study)
    gone = client.get("/")
    study.mkdir()
    (study / "study.toml").write_text("another study")

    assert "1 runs of a study" in gone.text  # with the problem beside it
    assert "0 runs of another study" in client.get("/").text


def test_a_torn_last_line_of_the_ledger_is_no_damage(study: Path, client: TestClient) -> None:
    with (study / "runs.jsonl").open("a") as file:
        file.write('{"run_id": "y", "sta')

    assert "1 runs of a study" in client.get("/").text


def test_progress_tells_what_the_study_is_at_and_confirmations_count(study: Path, client: TestClient) -> None:
    assert client.get("/progress.json").json()["work"] is None
    confirmation = study / "confirm-1234"
    confirmation.mkdir()
    work = {**StudyProgress("accuracy", 0.0).as_json(1.0), "written": time.time()}
    (confirmation / PROGRESS_FILE).write_text(json.dumps(work))
    before = hash_sources(study)
    grow(confirmation)

    found = client.get("/progress.json").json()
    assert found["work"] == work
    assert found["revision"] != before
    assert 0 <= found["now"] - found["last_run"] < 60


def test_runs_are_counted_as_status_counts_them(tmp_path: Path, bert: Path, report: Report) -> None:
    factors = '[factors]\n"optimizer.bias_correction" = [true, false]\n'
    folder = write_study(tmp_path, bert, factors)
    audit = make_audit(open_study(folder))
    save_audit(folder, audit)
    client = client_of(folder, report)
    client.get("/")
    left = client.get("/progress.json").json()
    pretend(load_study(folder), audit, lambda run: 200, [0])
    client.get("/")
    done = client.get("/progress.json").json()

    assert load_audit(folder) is not None
    assert left["runs"] == {"done": 0, "diverged": 0, "failed": 0, "left": 2} and left["seconds_left"] > 0
    assert done["runs"] == {"done": 2, "diverged": 0, "failed": 0, "left": 0}


def test_making_pages_takes_no_more_than_a_tenth_of_a_core() -> None:
    assert choose_rest(0.1) == PAUSE_SECONDS
    assert 10 / (10 + choose_rest(10.0)) == pytest.approx(0.1)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.0.1"])
@pytest.mark.parametrize("path", ["/", "/report.json", "/progress.json", "/watch.js", "/other"])
def test_other_names_for_this_host_are_refused(client: TestClient, host: str, path: str) -> None:
    assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_the_names_of_loopback_are_taken(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/report.json", "/progress.json", "/watch.js"])
def test_nothing_but_reading_is_allowed(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405
    assert client.head(path).status_code in (200, 503)


@pytest.mark.parametrize(
    "path", ["/study.toml", "/..%2fstudy.toml", "/%2e%2e/study.toml", "/runs.jsonl", "/x"]
)
def test_no_file_of_the_folder_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_response_forbids_foreign_content(client: TestClient) -> None:
    responses = [
        client.get("/"),
        client.get("/x"),
        client.post("/"),
        client.get("/", headers={"Host": "x.y"}),
    ]

    assert [response.status_code for response in responses] == [200, 404, 405, 400]
    for response in responses:
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "connect-src 'self'" in policy
        assert "http" not in policy and "*" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_a_real_server_follows_a_study_and_refuses_strangers(study: Path, report: Report) -> None:
    with served(study, PageMaker(report.facts, report.page)) as address:
        first = httpx2.get(f"{address}/")
        grow(study)
        second = httpx2.get(f"{address}/", headers={"If-None-Match": first.headers["etag"]})
        unchanged = httpx2.get(f"{address}/", headers={"If-None-Match": second.headers["etag"]})
        stranger = httpx2.get(f"{address}/", headers={"Host": "evil.example"})
        writer = httpx2.post(f"{address}/")

    assert "1 runs" in first.text and "2 runs" in second.text
    answers = (first, second, unchanged, stranger, writer)
    assert [answer.status_code for answer in answers] == [200, 200, 304, 400, 405]
    assert "server" not in first.headers


@contextmanager
def talk(address: str, *sent: bytes) -> Iterator[list[socket.socket]]:
    """A connection for each of these beginnings of a request."""
    port = int(address.rpartition(":")[2])
    with ExitStack() as open_:
        connections = []
        for start in sent:
            connections.append(open_.enter_context(socket.create_connection((LOOPBACK, port), timeout=20)))
            with suppress(ConnectionError):  # it may be cut while we still send
                connections[-1].sendall(start)
        yield connections


def receive(connection: socket.socket) -> bytes:
    """The beginning of an answer; nothing where the connection was closed or cut."""
    try:
        return connection.recv(12)
    except ConnectionError:
        return b""


def test_half_a_request_does_not_hold_a_connection(
    study: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "request_seconds", 0.3)
    head = b"GET /progress.json HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with (
        served(study, PageMaker(report.facts, report.page)) as address,
        talk(address, b"", head, b"\r\n", head + b"\r\n" + head) as slow,
    ):
        assert receive(slow[-1]) == b"HTTP/1.1 200"  # and half of another
        for connection in slow:
            while receive(connection):
                pass
        assert httpx2.get(f"{address}/").status_code == 200


def test_more_connections_than_it_takes_do_not_end_it(
    study: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "most", 20)
    with served(study, PageMaker(report.facts, report.page)) as address:
        with talk(address, *[b"G"] * 20), talk(address, b"G") as late:
            assert receive(late[0]) == b""
        wait_until(lambda: answers(address))


def answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize(
    "request_",
    [b"GET /" + b"x" * 2**17, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2**17, b"\0\r\n\r\n"],
)
def test_requests_that_are_none_or_never_end_are_refused(
    study: Path, report: Report, request_: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(study, PageMaker(report.facts, report.page)) as address:
        with talk(address, request_) as refused:
            assert receive(refused[0]) in (b"HTTP/1.1 400", b"")
        assert httpx2.get(f"{address}/").status_code == 200

    assert capsys.readouterr().err == ""


def test_two_may_watch_one_study(study: Path, report: Report) -> None:
    make = PageMaker(report.facts, report.page)
    with served(study, make) as one, served(study, make) as other:
        pages = [httpx2.get(f"{address}/").text for address in (one, other)]
        grow(study)
        later = [httpx2.get(f"{address}/").text for address in (one, other)]

    assert pages[0] == pages[1] and "1 runs" in pages[0]
    assert later[0] == later[1] and "2 runs" in later[0]


def test_a_folder_that_vanishes_while_it_is_looked_through_is_no_fault(
    study: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(self: Path, pattern: str) -> Iterator[Path]:
        raise FileNotFoundError(2, "No such file or directory", str(self))

    monkeypatch.setattr(Path, "glob", vanish)
    assert client.get("/progress.json").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.slow
def test_polls_leave_nothing_behind(study: Path, report: Report) -> None:
    """500 connections at once, and 10,000 polls."""
    me = psutil.Process()
    tags = {"If-None-Match": '"x"'}
    with served(study, PageMaker(report.facts, report.page)) as address, httpx2.Client() as browser:
        head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        for _ in range(2):
            with talk(address, *[head] * 500) as crowd:
                assert set(map(receive, crowd)) == {b"HTTP/1.1 200"}
        for poll in range(10_000):
            if poll == 1000:
                wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) < 100)
                handles, memory = me.num_fds(), me.memory_info().rss
            if poll % 100 == 0:
                grow(study)
                assert browser.get(f"{address}/", headers=tags).status_code == 200
            assert browser.get(f"{address}/progress.json").status_code == 200

        assert me.num_fds() <= handles + 5
        assert me.memory_info().rss < memory + 20 * 2**20


def test_a_port_in_use_is_said_and_only_loopback_listens() -> None:
    with listen(0) as taken:
        address, port = taken.getsockname()
        with pytest.raises(InputError, match=f"found {port}: .*Choose another"):
            listen(port)

    assert address == LOOPBACK
    with socket.socket() as other:
        assert other.connect_ex((LOOPBACK, port)) != 0
