"""The machine's own C++ compiler makes a library of ``native.cpp``, once for all later processes.

A compiler knows the processor that it runs on, and needs less than two seconds here. torch's inductor, which
calls the same compiler, takes 17 seconds the first time, and four in every process after that.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from finegrid.machine import cpu_flags, describe_compilers, find_compiler, processor
from finegrid.user_cache import OFF, find_cache

VARIABLE = "FINEGRID_KERNELS"  # a folder for the library, or OFF
SOURCE = Path(__file__).with_name("native.cpp")
SECONDS = 120.0  # what a compiler may take; two are usual
# Sums keep the order that they are written in. A product and a sum may become one rounding.
PORTABLE = (
    "-std=c++17",
    "-O3",
    "-shared",
    "-fPIC",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
)
# The first that a compiler takes: Apple's has no OpenMP, others are not for x86.
CHOICES = (
    ("-march=native", "-mprefer-vector-width=512", "-fopenmp"),
    ("-march=native", "-fopenmp"),
    ("-march=native",),
    ("-mcpu=native",),
    (),
)


class NotCompiledError(Exception):
    """There is no library, with the reason."""


def load_library() -> ctypes.CDLL:
    """The compiled library, made if it is not there yet.

    Raises:
        NotCompiledError: there is no compiler, or it fails, or the user wants none.
    """
    if os.environ.get(VARIABLE) == OFF:
        raise NotCompiledError(f"{VARIABLE}={OFF}")
    compiler = find_compiler()
    if compiler is None:
        raise NotCompiledError(f"{describe_compilers()} not found")
    name = f"native-{key_of(compiler)}.so"
    for folder in folders():
        path = folder / name
        with suppress(OSError):  # it is not there, or not whole
            return ctypes.CDLL(str(path))
        with suppress(OSError):  # nothing can be written there
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            compile_to(path, compiler)
            return ctypes.CDLL(str(path))
    raise NotCompiledError("no folder could be written to")


def key_of(compiler: Sequence[str]) -> str:
    """Of all that the library depends on."""
    about = [SOURCE.read_text(encoding="utf-8"), *compiler, version_of(compiler), *PORTABLE, repr(CHOICES)]
    about += [sys.platform, processor(), *sorted(cpu_flags())]
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:16]


def version_of(compiler: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            [*compiler, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotCompiledError(str(error)) from error
    return done.stdout


def folders() -> Iterator[Path]:
    """Where the library may lie: where the user says, or in their cache; else in a folder of this process."""
    if asked := os.environ.get(VARIABLE):
        yield Path(asked)
    elif cache := find_cache():
        yield cache / "kernels"
    yield Path(tempfile.mkdtemp(prefix="finegrid-"))


def compile_to(path: Path, compiler: Sequence[str]) -> None:
    """Compile, so that whoever comes by finds all of it or nothing.

    Raises:
        NotCompiledError: the compiler fails.
        OSError: nothing can be written there.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        said = ""
        for choice in CHOICES:
            command = [*compiler, *PORTABLE, *choice, "-o", str(made), str(SOURCE)]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise NotCompiledError(f"{compiler[0]} took more than {SECONDS:.0f} s") from error
            if done.returncode == 0:
                made.replace(path)
                return
            said = said or first_error(done.stderr)
    raise NotCompiledError(f"{compiler[0]}: {said}")


def first_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")
