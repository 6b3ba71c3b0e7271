"""Before a command looks at a study with strategies of its own: may their code run, and what are they?"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finegrid.allowed_code import allow, check_allowed
from finegrid.errors import InputError, Problem, WorkerBrokeError
from finegrid.recipe.described import Description
from finegrid.recipe.own_code import OwnCode
from finegrid.running.describing import READ, TRAIN
from finegrid.study.folder import StudyFolder
from finegrid.study.load import read_toml
from finegrid.study.own_strategies import StrategiesFile, load_file, read_codes, read_settings, save_file

# -P: a file random.py where the user stands is none of our modules.
DESCRIBE = (sys.executable, "-P", "-m", "finegrid.running.describing")


def admit(folder: Path, allow_code: bool, runs: bool) -> None:
    """Have a study's own strategies described, if that is to be done; nothing where it has none.

    Code runs in processes of its own, and only where its user has allowed it.

    Args:
        folder: of the study.
        allow_code: whether the user allows it now.
        runs: whether the command goes on to train or probe, for which the code has to run in any case.

    Raises:
        InputError: code that is not allowed; strategies, or a study with them, that cannot be used.
    """
    files = StudyFolder(folder)
    content = read_toml(files.settings)
    settings = read_settings(content, folder)
    if not settings.names:
        return
    codes = read_codes(folder, settings)
    digests = {code.source: code.digest for code in codes}
    if allow_code:
        allow(digests)
    written = hash_settings(content)
    fits = describes(load_file(folder), written, codes)
    if runs or not fits:
        check_allowed(digests)
    if not fits:
        save_file(folder, StrategiesFile(settings=written, strategies=describe(folder, codes, runs)))


def hash_settings(content: Mapping[str, Any]) -> str:
    """Of all that decides which levels a study has: more seeds, or another device, change nothing of it."""
    design = {
        name: value for name, value in content.get("design", {}).items() if name not in ("seeds", "looks")
    }
    told = {name: value for name, value in content.items() if name not in ("note", "run")}
    text = json.dumps({**told, "design": design}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def describes(found: StrategiesFile | None, written: str, codes: Sequence[OwnCode]) -> bool:
    """Whether what is on file is of this study.toml and this code."""
    if found is None or found.settings != written:
        return False
    return [(one.source, one.digest) for one in found.strategies] == [
        (one.source, one.digest) for one in codes
    ]


def describe(folder: Path, codes: Sequence[OwnCode], runs: bool) -> tuple[Description, ...]:
    """Ask a process that imports them.

    Raises:
        InputError: what is wrong with them, or with the study.
        WorkerBrokeError: the process ended otherwise.
    """
    answer = ask(folder, TRAIN if runs else READ, [code.digest for code in codes])
    if "problems" in answer:
        raise InputError(answer["source"], [Problem(where, what) for where, what in answer["problems"]])
    return tuple(
        Description.model_validate_json(json.dumps(one), strict=True) for one in answer["strategies"]
    )


def ask(folder: Path, purpose: str, allowed: Sequence[str]) -> dict[str, Any]:
    """What such a process says.

    Raises:
        WorkerBrokeError: it ended without a word.
    """
    ended = subprocess.run(
        [*DESCRIBE, str(folder), purpose, *allowed],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer
    except ValueError:
        raise WorkerBrokeError(ended.stderr or f"exit code {ended.returncode}") from None
