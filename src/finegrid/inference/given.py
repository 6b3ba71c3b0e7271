"""What `finegrid predict` is given: a file, standard input, or texts that were typed; and its progress."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from finegrid.errors import input_error
from finegrid.inference.fitted import load_fitted
from finegrid.inference.predict import LabelledPart, pair_up
from finegrid.spelling import Lang
from finegrid.words import SHARED

STANDARD_INPUT = "-"
LEAST_SHOWN = 2000  # texts; fewer take no time
Count = Callable[[Iterable[LabelledPart]], Iterator[LabelledPart]]


@contextmanager
def given_texts(
    model: Path, file: Path | None, values: Sequence[str] | None
) -> Iterator[tuple[Path, str | None]]:
    """A file to read, and what messages call it, None for its own name.

    Args:
        model: folder of the model.
        file: as it was typed; ``-`` is standard input, which is read to its end.
        values: texts that were typed instead.

    Raises:
        InputError: neither or both, no model, or texts that cannot be paired.
    """
    if (file is None) == (not values):
        what = "found both FILE and --text-value" if values else "found neither FILE nor --text-value"
        raise input_error(
            "command line", "FILE", f"{what}, expected one: a file, - for standard input, or texts."
        )
    if file is not None and str(file) != STANDARD_INPUT:
        yield file, None
        return
    fitted = load_fitted(model)
    with TemporaryDirectory(prefix="finegrid-") as folder:
        if values:
            path = Path(folder) / "texts.jsonl"
            names = ["text"] if fitted.texts == 1 else ["text1", "text2"]
            rows = (dict(zip(names, row, strict=True)) for row in pair_up(list(values), fitted.texts))
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            yield path, "--text-value"
            return
        path = Path(folder) / "stdin.txt"
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield path, "standard input"


@contextmanager
def progress(texts: int, to_stdout: bool = False, lang: Lang = "en") -> Iterator[Count]:
    """A bar on stderr while parts come, if that is a terminal, and no labels are printed to one meanwhile.

    Args:
        texts: how many there are; for a few there is no bar.
        to_stdout: whether labels are printed.
        lang: of the word before it.
    """
    printed = to_stdout and sys.stdout.isatty()
    if not sys.stderr.isatty() or printed or texts < LEAST_SHOWN:
        yield iter
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(SHARED[lang]["texts"]), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("texts", total=texts)

        def count(parts: Iterable[LabelledPart]) -> Iterator[LabelledPart]:
            for part in parts:
                yield part
                bar.advance(task, len(part.logits))

        yield count
