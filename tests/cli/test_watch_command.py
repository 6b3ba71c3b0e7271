"""The command `finegrid watch`."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import httpx2
from support.command_line import Call, started

from finegrid.watch.serve import listen


def test_watch_prints_its_address_serves_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with started("watch", tmp_path / "later") as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert found, said
        page = httpx2.get(found[0], timeout=60.0)
        process.send_signal(signal.SIGINT)
        ended = process.wait(20)

    assert "Nothing to show yet" in page.text and "study.toml" in page.text
    assert ended == 130
    assert not (tmp_path / "later").exists()


def test_a_port_in_use_is_wrong_input(tmp_path: Path, call: Call) -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        done = call("watch", tmp_path, "--port", str(port))

    assert done.returncode == 2
    assert f"--port    found {port}: " in done.stderr and "Traceback" not in done.stderr
