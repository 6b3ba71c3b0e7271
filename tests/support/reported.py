"""Studies that can be reported on: nobody trained them, and every score is chosen."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finegrid.audit.costs import make_audit
from finegrid.planning.runs import PlannedRun
from finegrid.report.chart.charts import charts
from finegrid.report.facts.facts import report_facts
from finegrid.spelling import Lang
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.load import load_study
from finegrid.study.study import Study
from support.pretend import TEXTS, pretend
from support.studies import open_study, save_tokenizer, write_study, write_texts

AUDITED: dict[tuple[Path, str, str], dict[Path, bytes]] = {}  # their files, by what was asked for
Facts = Any  # report.json: tests change it at will
SEEDS = 3
SETTINGS = """[design]
seeds = 3
[factors]
"optimizer.bias_correction" = [true, false]
"reinit.layers" = [0, 2]
"freeze.layers" = [0, 1]
"""
POINTS = {"reinit.layers": 30, "freeze.layers": -9}  # texts more or less that a moved level gets right

# What a file may hold: markup, scripts, templates, formulas, escapes, directions, and what is very long.
SCRIPT = "<script>window.hacked = 1; alert('hacked')</script>"
HOSTILE_LABELS = sorted(
    [
        "</script><img src=x onerror=\"window.hacked = 1; alert('label')\">",
        "=1+1|`{{7*7}}`",
        "\x1b[31m\u202elabel\u2066",
    ]
)
HOSTILE_TEXTS = [
    SCRIPT,
    "</script></title></style></textarea><h1 id=injected>big</h1>",
    "<!--<script>",
    ']]><svg onload=alert(1)><a href="javascript:alert(1)">x</a>',
    "{{7*7}} {% raw %} ${7*7} <%= 7*7 %>",
    '=HYPERLINK("http://example.org","x")',
    "\u202eevil\u202c \u200b\u2028\u2029 \x1b]0;title\x07 \x7f",
    "&lt;b&gt; &amp; &#x3c;script&#x3e; &nbsp;",
    "W" * 399,
    "👩‍👩‍👧‍👦 👍🏽 🏴‍☠️ שלום العربية",
    "'\"><input autofocus onfocus=alert(1)>",
    "line one\nline two\ttab\r",
]
HOSTILE_NAME = "<img src=x onerror=alert(2)> {{7*7}} \u202e'$(reboot)'"


def audited_study(folder: Path, checkpoint: Path, settings: str = SETTINGS, head: str = "") -> Study:
    """One that has not run, whose dev and test texts are those that `pretend` scores.

    Whoever asks for such a study later gets its files: an audit takes most of the time of many a test.
    """
    asked = checkpoint, settings, head
    if asked not in AUDITED:
        there = {*folder.rglob("*")}
        write_study(folder, checkpoint, settings, head or 'score = "accuracy"\n')
        for number, part in enumerate(("dev", "test")):
            write_texts(folder / f"{part}.tsv", TEXTS, 10 + number)
        audited(folder)
        made = [path for path in folder.rglob("*") if path.is_file() and path not in there]
        AUDITED[asked] = {path.relative_to(folder): path.read_bytes() for path in made}
    for name, content in AUDITED[asked].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return load_study(folder)


def audited(folder: Path) -> Study:
    save_audit(folder, make_audit(open_study(folder)))
    return load_study(folder)


def hostile_study(home: Path, checkpoint: Path) -> Study:
    """Whose texts, labels, columns and folder would like to be more than text."""
    folder = home / HOSTILE_NAME
    folder.mkdir(parents=True)
    model = shutil.copytree(checkpoint, home / "<b>model")
    save_tokenizer(model, "bert", [*string.punctuation, *string.digits])  # lest most tokens be unknown
    for number, (part, texts) in enumerate({"train": 24, "dev": TEXTS, "test": TEXTS}.items()):
        rows = [
            {"<i>text</i>": hostile_text(number, row), "=label": HOSTILE_LABELS[row % 3]}
            for row in range(texts)
        ]
        (folder / f"<u>{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "study.toml").write_text(
        f"""# {SCRIPT}
score = {json.dumps("f1:" + HOSTILE_LABELS[0])}
[data]
train = "<u>train.jsonl"
dev = "<u>dev.jsonl"
test = "<u>test.jsonl"
text = "<i>text</i>"
label = "=label"
[model]
name = "../{model.name}"
max_length = 32
[optimizer]
rate = 2e-3
[training]
batch_size = 8
epochs = 2
{SETTINGS}"""
    )
    return audited(folder)


def hostile_text(part: int, row: int) -> str:
    """Texts differ, lest one be found in two files."""
    return f"{HOSTILE_TEXTS[row % len(HOSTILE_TEXTS)]} {part}.{row}"


def chart(facts: Facts, name: str, lang: Lang = "en") -> Any:
    """The specification of one figure."""
    return charts(facts, lang, names=[name])[name]


def hits(run: PlannedRun) -> int:
    return 210 + sum(POINTS.get(name, 0) for name in run.levels) + 2 * run.seed


def fill(
    study: Study, which: Callable[[PlannedRun], Any] = hits, seeds: int = SEEDS, **changes: Any
) -> Facts:
    """With a record for every run, and what the report then says."""
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, which, range(seeds), **changes)
    return report_facts(study.folder)
