"""finegrid as a version of it is measured by its own benchmarks, with texts of any length.

Started by ``lengths.py`` with the tree of that version, whose finegrid is the one on the path, and a job.
Speaks to it as ``contender.py`` does.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

EPOCHS = 2  # after the first, on a GPU


def on_cpu(job: dict[str, Any]) -> None:
    contender: Any = import_module("contender")
    contender.LENGTH = job["length"]  # where it is not of the job
    known = {one.name for one in fields(contender.Job)}
    sys.argv[1:] = [json.dumps({key: value for key, value in job.items() if key in known})]
    contender.main()


def on_gpu(job: dict[str, Any]) -> None:
    gpu: Any = import_module("gpu")
    gpu.LENGTH = job["length"]
    titles = Path(job["titles"])
    texts = len(titles.read_text(encoding="utf-8").splitlines()) - 1
    about = {"device": job["device"], "shape": "base", "model": Path(job["checkpoint"]), "titles": titles}
    arguments = Namespace(**about, batch=job["batch_size"], family=job["family"], texts=texts)
    open_study = gpu.open_study if hasattr(gpu, "open_study") else gpu.open_bench
    with tempfile.TemporaryDirectory() as folder:
        opened = open_study(arguments, Path(folder))
        print("ready", flush=True)
        sys.stdin.readline()
        found = gpu.measure(opened, job["frozen"], job["family"], EPOCHS, "base")
    figures = {"tokens": found.tokens_per_second, "seconds": 1, "bytes": found.gib * 2**30}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    tree, told = sys.argv[1:]
    sys.path[0] = str(Path(tree) / "benchmarks")
    wanted = json.loads(told)
    (on_gpu if wanted["device"] == "cuda" else on_cpu)(wanted)
