"""Run the code of docs/python.md, and write what it prints into the page.

python scripts/python_page.py FOLDER            # the code runs in this folder; what trains is left out
python scripts/python_page.py FOLDER --train    # all of it: a minute or two on two cores
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from notebook import run_cell

PAGE = Path(__file__).resolve().parent.parent / "docs" / "python.md"
# Code, and below it in a block of its own what it prints. A comment marks what trains.
BLOCK = re.compile(
    r"^(?P<trains><!-- trains -->\n)?```(?P<language>python|sh)\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
CallFinegrid = Callable[[list[str]], None]  # given the words after "finegrid"


def run_page(text: str, call: CallFinegrid, training: bool) -> Iterator[tuple[re.Match[str], str]]:
    """The blocks of Python in order, with what each prints now.

    Args:
        text: of the page.
        call: for the lines of shells.
        training: whether to run what trains, too.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, block in enumerate(BLOCK.finditer(text), start=1):
        if block["language"] == "sh":
            for line in block["code"].splitlines():
                call(line.split()[1:])
        elif training or not block["trains"]:
            outputs = run_cell(block["code"], names, number)
            yield block, "".join(line for output in outputs for line in output["text"])


def call_finegrid(words: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "finegrid", *words], check=True, stdout=subprocess.DEVNULL)


def main(folder: Path, training: bool) -> None:
    text = PAGE.read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    parts, place = [], 0
    for block, printed in run_page(text, call_finegrid, training):
        if block["shown"] is not None:
            parts += [text[place : block.start("shown")], printed]
            place = block.end("shown")
    PAGE.write_text("".join([*parts, text[place:]]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--train" in sys.argv[2:])
