"""Which code of strategies of one's own a user has allowed to run, by its hash: a list in a file of theirs.

A study may come from somebody else. Nothing that it names runs before its user has said so, and what has
changed since is asked about again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from finegrid.atomic import open_to_append
from finegrid.errors import InputError, Problem, input_error

FLAG = "--allow-code"
FILE = "allowed-code.txt"
SHORT = 12  # digits of a hash that messages have


def find_list() -> Path:
    """Where it lies: among the user's settings."""
    if sys.platform == "win32":
        home = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    else:
        home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "finegrid" / FILE


def read_allowed() -> set[str]:
    """The hashes of all code that may run; none where there is no such file."""
    try:
        lines = find_list().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line.split(maxsplit=1)[0] for line in lines if line.strip()}


def allow(codes: Mapping[str, str]) -> None:
    """Let code run from now on, until it changes.

    Args:
        codes: its hashes, by what it is called; the list says so for whoever reads it.

    Raises:
        InputError: the list cannot be written.
    """
    path, known = find_list(), read_allowed()
    lines = [f"{digest}  {' '.join(name.split())}\n" for name, digest in codes.items() if digest not in known]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if lines:
            with open_to_append(path) as file:
                file.write("".join(lines).encode("utf-8", "replace"))
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror}. Set XDG_CONFIG_HOME to a folder that can."
        raise input_error("command line", FLAG, what) from None


def check_allowed(codes: Mapping[str, str]) -> None:
    """Refuse to run code that nobody has allowed. Nothing asks: a program may have no terminal.

    Args:
        codes: its hashes, by what it is called.

    Raises:
        InputError: there is some.
    """
    allowed = read_allowed()
    problems = [
        Problem(
            name,
            f"is code that would run, and you have not allowed it yet (SHA-256 {digest[:SHORT]}...). "
            f"Read it, then repeat the command with {FLAG}. When it changes, you are asked again.",
        )
        for name, digest in codes.items()
        if digest not in allowed
    ]
    if problems:
        raise InputError("strategies", problems)
