"""Run the cells of a notebook in order, without Jupyter, and write what they show into it.

    python scripts/notebook.py examples/study.ipynb FOLDER     # the cells run in this folder

nbclient would do so, too, but brings a kernel, message queues and thirty packages for six cells. Not done
here: magics, and what asks for a kernel. A cell shows what it prints, and its last expression as a notebook
would: as HTML, too, where the value has ``_repr_html_``.
"""

from __future__ import annotations

import ast
import io
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]


def read_notebook(path: Path) -> Notebook:
    notebook: Notebook = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cells(notebook: Notebook) -> None:
    """Execute the code cells in the folder where this process is; their outputs are put into the notebook."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(notebook), start=1):
        cell["execution_count"] = number
        cell["outputs"] = run_cell("".join(cell["source"]), names, number)


def run_cell(source: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """What a cell shows, as a notebook keeps it.

    Args:
        source: of the cell.
        names: of all cells so far; it gets those of this one.
        number: of the cell.
    """
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(tree, f"<cell {number}>", "exec"), names)
        shown = None
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), f"<cell {number}>", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": as_lines(printed.getvalue())})
    if shown is not None:
        data = {"text/plain": as_lines(repr(shown))}
        if hasattr(shown, "_repr_html_"):
            data["text/html"] = as_lines(shown._repr_html_())
        outputs.append(
            {"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}
        )
    return outputs


def as_lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(path: Path, folder: Path) -> None:
    notebook = read_notebook(path)
    target = path.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    run_cells(notebook)
    target.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
