"""What finegrid computes, as a folder of texts: taken before and after a refactoring, and compared.

    python tests/support/golden.py OUT                          # three minutes or so on two cores
    python tests/support/golden.py OUT --against BEFORE         # and says what differs: exit code 1
    python tests/support/golden.py OUT --against BEFORE --kept  # compares two folders that are there

The tree that PYTHONPATH names is tried, else the one that is installed. Of finegrid nothing is imported: this
drives its command line and reads its files, wherever its modules are. Whatever is measured (seconds, memory,
dates) is replaced, so that one tree gives the same bytes twice, on one machine with the same libraries.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

WORDS = ["goal", "match", "team", "coach", "stock", "bank", "price", "market"]
WORDS += ["晴天", "下雨", "大风", "多云", "the", "a", "new", "old"]
LABELS = ("sport", "money", "天气")  # told by four words each
SIZES = {"train": 72, "dev": 60, "test": 150}
WRONG = 0.1  # of the labels, so that recipes differ
SIX: dict[str, list[Any]] = {
    "optimizer.bias_correction": [True, False],
    "optimizer.decay_on": ["all", "matrices"],
    "reinit.pooler": [False, True],
    "reinit.layers": [0, 2],
    "freeze.layers": [0, 2],
    "schedule.warmup_ratio": [0.0, 0.1],
}
BASELINE = {
    "model.name": "../model",
    "model.max_length": 12,
    "model.pooling": "pooler",
    "optimizer.rate": 0.01,
    "training.epochs": 6,
    "training.batch_size": 16,
}
FIGURES = ("forest", "frontier", "interactions", "seeds", "curves", "classes", "confusion")
JSON = "verdict --json"
READ = (
    *(JSON, "verdict", "verdict --lang zh", "report", "report --format md", "report --format md --lang zh"),
    *(f"table --format {form}" for form in ("markdown", "csv", "json")),
    "report --format svg --lang zh --figure forest --out zh.svg",
)
PLANNED = ("plan", "plan --json", "status", "status --json", "export --to csv --predictions --out csv")
DRAWN = tuple(f"report --format svg --figure {name} --out {name}.svg" for name in FIGURES)
WRITTEN = (".json", ".html", ".svg", ".csv")  # what commands leave, of that what is taken
MEASURED = re.compile(r"started|ended|memory|machine|versions|(\w+_)?seconds")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?")
SHOWN, WIDTH = 12, 240  # lines of a file's diff, characters of a line


@dataclass(frozen=True)
class Case:
    """A study to train, and the commands that then read it."""

    name: str
    factors: dict[str, list[Any]] = field(default_factory=lambda: SIX)
    design: str = "seeds = 2"
    run: str = ""
    top: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    options: str = ""  # of `run`
    commands: Sequence[str] = (*READ, *PLANNED)


def cases() -> Iterator[Case]:
    """The longest first."""
    mean = {"model.pooling": "first-last-mean"}  # reinit.pooler is inert
    commands = (*READ, *PLANNED, *DRAWN, "plan --budget 3h")
    yield Case("full", top='preset = "thucnews64"', recipe=mean, commands=commands)
    five = {name: levels for name, levels in SIX.items() if name != "reinit.pooler"}
    screen = 'kind = "screen"\nresolution = "III"\nseeds = 3'
    yield Case("screen", five, screen, recipe=mean, options="--margin 35")  # drops some, keeps some
    some: dict[str, list[Any]] = {
        "reinit.layers": [1, 2, 0],
        "schedule.warmup_ratio": [0.0, 0.1],
        "freeze.layers": [0, 1],
    }
    yield Case("diverged", some, recipe={"model.name": "../spoiled"})  # those that draw no layer afresh
    yield Case("pretrained", {"pretrain.tokens": [0, 600], "reinit.layers": [0, 1]})
    for precision in ("fp32", "bf16"):
        for shape in ("stack", "family_size"):  # steps as one; in lockstep
            run = f'{shape} = 8\nprecision = "{precision}"'
            for seeds in (1, 2):
                whole = (precision, shape, seeds) == ("fp32", "family_size", 2)
                read = (*READ, *PLANNED) if whole else (JSON,)
                design = f'kind = "fractional"\nresolution = "IV"\nseeds = {seeds}'
                yield Case(f"{precision}-{shape}-{seeds}", design=design, run=run, commands=read)


def main() -> int:
    asked = arguments()
    if asked.against and not asked.against.is_dir():
        raise SystemExit(f"{asked.against} is not a folder. Take it first, from the tree before.")
    if not asked.kept:
        if asked.out.exists():
            raise SystemExit(
                f"{asked.out} is there already. Remove it, or compare it: --against BEFORE --kept"
            )
        unfinished = asked.out.with_name(f"{asked.out.name}.unfinished")  # one that was cut short is no OUT
        shutil.rmtree(unfinished, ignore_errors=True)
        take(unfinished)
        unfinished.rename(asked.out)
    return compare(asked.against, asked.out) if asked.against else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--against", type=Path, metavar="BEFORE", help="another such folder")
    parser.add_argument("--kept", action="store_true", help="OUT is there: take nothing, compare")
    return parser.parse_args()


def take(out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="golden-") as made:
        home = Path(made).resolve()
        where = call(home, sys.executable, "-c", "import finegrid; print(finegrid.__file__)")
        print(f"taking {where.stdout.strip()}", file=sys.stderr)
        write_data(home / "data")
        write_checkpoint(home / "model")
        spoil(home / "model", home / "spoiled")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [pool.submit(take_case, home, out, case) for case in cases()]
            jobs.append(pool.submit(take_published, home, out))
            for job in jobs:
                job.result()


def take_case(home: Path, out: Path, case: Case) -> None:
    study, into = home / case.name, out / case.name
    write_study(study, case)
    done = finegrid(home, "run", case.name, "--workers", "1", *case.options.split())
    if done.returncode not in (0, 1) or not (study / "runs.jsonl").exists():  # 1: some have diverged, too
        raise SystemExit(f"{case.name}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    records = [json.loads(line) for line in (study / "runs.jsonl").read_text("utf-8").splitlines()]
    records.sort(key=lambda record: str(record["run_id"]))
    audit = json.loads((study / "audit.json").read_text("utf-8"))
    write_json(into / "ledger.json", measured_as(records, None))
    write_json(into / "audit.json", measured_as(audit, None))
    write(into / "predictions.txt", "".join(arrays(study / "predictions")))
    lines = (json.dumps(measured_as(record, record["run_id"]), ensure_ascii=False) for record in records)
    write(study / "runs.jsonl", "".join(f"{line}\n" for line in lines))
    audit["costs"] = [
        measured_as(cost, json.dumps(cost["shared"], sort_keys=True)) for cost in audit["costs"]
    ]
    write_json(study / "audit.json", {**audit, "machine": {}, "versions": {}})
    read(home, study, into, case.commands)


def take_published(home: Path, out: Path) -> None:
    finegrid(home, "example", "thucnews64-published", "--out", "published")
    read(home, home / "published", out / "published", (*READ, *DRAWN[:4]))
    for factor in SIX:
        write(out / "explain" / f"{factor}.txt", spoken(finegrid(home, "explain", factor), home))


def read(home: Path, study: Path, into: Path, commands: Sequence[str]) -> None:
    """Call commands, and keep what they say and what they write."""
    for command in commands:
        name, *options = command.split()
        if "--out" in options:  # beside the study's own files
            options[-1] = f"{study.name}/{options[-1]}"
        said = finegrid(home, name, study.name, *options)
        write(into / f"{re.sub(r'[^a-z0-9]+', '-', command)}.txt", spoken(said, home))
    for path in sorted(study.rglob("*")):
        kept = path.suffix in WRITTEN and path.name not in ("audit.json", "imported.json")
        if kept and "cache" not in path.parts:
            text = plain(path.read_text("utf-8"), home)
            if path.suffix == ".json":
                text = json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"
            write(into / "written" / path.relative_to(study), text)


def measured_as(value: Any, key: str | None) -> Any:
    """The same with every measured number replaced: by nothing, or by one made of key and name."""
    if isinstance(value, list):
        return [measured_as(each, key) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: stand_in(each, f"{key} {name}" if key else None)
        if MEASURED.fullmatch(name)
        else measured_as(each, key)
        for name, each in value.items()
    }


def stand_in(value: Any, key: str | None) -> Any:
    if key is None:
        return None
    if isinstance(value, dict):
        return {name: stand_in(each, f"{key} {name}") for name, each in value.items()}
    number = int(hashlib.sha256(key.encode()).hexdigest()[:6], 16)
    if isinstance(value, str):  # a version
        return "0"
    return 2**29 + number if isinstance(value, int) else 1 + number / 2**24


def arrays(folder: Path) -> list[str]:
    """A line per array of every run: dtype, shape, and a hash of its bits, whatever file it is in."""
    lines = []
    for path in folder.glob("*.npz"):
        for row, found in rows_of(path).items():
            for name, array in found.items():
                if not name.endswith("_crc"):
                    bits = hashlib.sha256(array.tobytes()).hexdigest()
                    lines.append(f"{row} {name} {array.dtype} {array.shape} {bits}\n")
    return sorted(lines)


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    """The arrays of every run of a file; the older files are of one run each."""
    with np.load(path, allow_pickle=False) as file:
        found = dict(file)
    if "names" not in found:
        return {path.stem: found}
    names = [bytes(name).rstrip(b"\0").decode() for name in found.pop("names")]
    return {
        re.sub(r"[^\w.=,-]", "_", name.replace(" ", ".")): {
            key: array if key.endswith(("_ids", "_gold")) else array[place] for key, array in found.items()
        }
        for place, name in enumerate(names)
    }


def finegrid(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call(home, sys.executable, "-m", "finegrid", *options)


def call(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """In the folder of all studies, so that no output has a path of this machine."""
    trees = [str(Path(tree).resolve()) for tree in os.environ.get("PYTHONPATH", "").split(os.pathsep) if tree]
    fixed = {"HF_HUB_OFFLINE": "1", "COLUMNS": "100", "PYTHONUTF8": "1", "TERM": "dumb"}
    environment = {**os.environ, **fixed, "PYTHONPATH": os.pathsep.join(trees)}
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, encoding="utf-8")


def spoken(said: subprocess.CompletedProcess[str], home: Path) -> str:
    return plain(f"{said.stdout}--- stderr\n{said.stderr}--- exit code {said.returncode}\n", home)


def plain(text: str, home: Path) -> str:
    return MOMENT.sub("MOMENT", text.replace(str(home), "HOME"))


def write_data(folder: Path) -> None:
    draw = np.random.default_rng(0)
    found: dict[str, str] = {}
    while len(found) < sum(SIZES.values()):
        number = len(found) % 3
        told = [*draw.choice(WORDS[4 * number : 4 * number + 4], 2), *draw.choice(WORDS, draw.integers(1, 5))]
        label = LABELS[int(draw.integers(3)) if draw.random() < WRONG else number]
        found.setdefault(" ".join(map(str, told)), label)
    rows = iter(found.items())
    for split, size in SIZES.items():
        lines = ["text\tlabel", *("\t".join(next(rows)) for _ in range(size))]
        write(folder / f"{split}.tsv", "\n".join(lines) + "\n")


def write_checkpoint(folder: Path) -> None:
    """A BERT of four layers, 16 wide, and its WordPiece tokeniser."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    vocabulary = {token: number for number, token in enumerate([*special.values(), *WORDS])}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=32, initializer_range=0.2, **sizes
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def spoil(model: Path, folder: Path) -> None:
    """A copy whose top layer makes every run diverge that does not draw it afresh."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    # Finite, or the checkpoint would be refused. What it makes of a text is not.
    weights["encoder.layer.3.output.dense.weight"][:] = 1e38
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def write_study(folder: Path, case: Case) -> None:
    tables = {"data": "".join(f'{split} = "../data/{split}.tsv"\n' for split in SIZES)}
    for factor, level in {**BASELINE, **case.recipe}.items():
        part, field = factor.split(".")
        tables[part] = tables.get(part, "") + f"{field} = {json.dumps(level)}\n"
    tables["factors"] = "\n".join(f'"{name}" = {json.dumps(levels)}' for name, levels in case.factors.items())
    tables |= {"design": case.design, "run": case.run}
    parts = "\n".join(f"[{name}]\n{text}" for name, text in tables.items())
    write(folder / "study.toml", f"{case.top}\n{parts}")


def write_json(path: Path, content: Any) -> None:
    write(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def compare(before: Path, after: Path) -> int:
    """Print what differs, file by file. Returns 1 if anything does."""
    old, new = ({str(p.relative_to(at)): p for p in at.rglob("*") if p.is_file()} for at in (before, after))
    if not old or not new:
        raise SystemExit(f"nothing in {after if old else before}: there is nothing to compare")
    changed = [name for name in sorted(old | new) if bits_of(old, name) != bits_of(new, name)]
    for name in changed:
        print("\n".join(difference(name, old.get(name), new.get(name))))
    print(f"{len(changed)} of {len(old | new)} files differ")
    return int(bool(changed))


def bits_of(files: Mapping[str, Path], name: str) -> bytes | None:
    return files[name].read_bytes() if name in files else None


def difference(name: str, old: Path | None, new: Path | None) -> list[str]:
    if old is None or new is None:
        return [f"{name}: only {'after' if new else 'before'}"]
    a, b = (path.read_text("utf-8").splitlines() for path in (old, new))
    found = list(difflib.unified_diff(a, b, n=0, lineterm=""))[2:]
    more = [f"... {len(found) - SHOWN} lines more"] if len(found) > SHOWN else []
    return [f"{name}:", *(f"  {line[:WIDTH]}" for line in found[:SHOWN]), *more]


if __name__ == "__main__":
    sys.exit(main())
