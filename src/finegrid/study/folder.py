"""Every path of a study folder, and the names that messages give its files.

No other module spells one: who needs a path asks a `StudyFolder`, who needs a name for a message imports it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SETTINGS_FILE = "study.toml"
SPLIT_FILE = "split.tsv"
AUDIT_FILE = "audit.json"
STRATEGIES_FILE = "strategies.json"
LEDGER_FILE = "runs.jsonl"
SCREEN_FILE = "screen.json"
LOOKS_FILE = "looks.jsonl"
IMPORTED_FILE = "imported.json"
PROGRESS_FILE = "progress.json"
LOCK_FILE = ".lock"
LEASE_FILE = ".lease"
FACTS_FILE = "report.json"


def texts_file(split: str) -> str:
    """The name of the texts of one split, in a confirmation."""
    return f"{split}.jsonl"


# What is made once for many families, and lies in the cache.
MADE_ONCE = ("frozen-*.npy", "features-*.safetensors", "pretrained-*.safetensors", "teacher-*.npz")


@dataclass(frozen=True)
class StudyFolder:
    """The files of a study; ``path`` is the folder. Nothing here looks whether a file exists."""

    path: Path

    @property
    def settings(self) -> Path:
        """What the study is, as the user wrote it."""
        return self.path / SETTINGS_FILE

    @property
    def data(self) -> Path:
        """The texts that came with the folder; of the demo."""
        return self.path / "data"

    def texts(self, split: str) -> Path:
        """The texts that a small study was made with: ``train``, ``dev`` or ``test``; of confirmations."""
        return self.path / texts_file(split)

    @property
    def split(self) -> Path:
        """Which text of a single file is in which split."""
        return self.path / SPLIT_FILE

    @property
    def audit(self) -> Path:
        """What only the model and the data can tell."""
        return self.path / AUDIT_FILE

    @property
    def strategies(self) -> Path:
        """What is known of the study's own strategies where their code does not run."""
        return self.path / STRATEGIES_FILE

    @property
    def ledger(self) -> Path:
        """One line per run that has ended."""
        return self.path / LEDGER_FILE

    @property
    def screen(self) -> Path:
        """What phase 1 of a screen has decided."""
        return self.path / SCREEN_FILE

    @property
    def looks(self) -> Path:
        """One line per interim look that was taken."""
        return self.path / LOOKS_FILE

    @property
    def imported(self) -> Path:
        """A table from elsewhere, in the place of settings and ledger."""
        return self.path / IMPORTED_FILE

    @property
    def progress(self) -> Path:
        """What the study is at, while it is at work."""
        return self.path / PROGRESS_FILE

    @property
    def lock(self) -> Path:
        """Held by the process that works in the folder, by the system's own means."""
        return self.path / LOCK_FILE

    @property
    def lease(self) -> Path:
        """Renewed by the process that works in the folder; gone when it has ended."""
        return self.path / LEASE_FILE

    @property
    def predictions(self) -> Path:
        """The folder of what every finished run predicts."""
        return self.path / "predictions"

    def predictions_of_family(self, family: str) -> Path:
        """Logits, labels and lines of the texts of dev and test, of the runs of a family."""
        return self.predictions / f"{family}.npz"

    def predictions_of(self, run_id: str, free: str = "") -> Path:
        """The same of one run, as older versions wrote it.

        Args:
            run_id: of the run.
            free: the key of a level of a free factor that it was scored at; empty: at the first level of all.
        """
        level = free and "." + re.sub(r"[^\w.=,-]", "_", free)
        return self.predictions / f"{run_id}{level}.npz"

    @property
    def states(self) -> Path:
        """The folder of what families that are being trained go on from."""
        return self.path / "state"

    def state_of(self, family: str) -> Path:
        """What one family goes on from after a crash; gone when it has ended."""
        return self.states / f"{family}.safetensors"

    @property
    def cache(self) -> Path:
        """The folder of what can be computed anew: tokens, frozen prefixes, pre-training, teachers."""
        return self.path / "cache"

    def frozen_prefix(self, key: str, name: str) -> Path:
        """One array of what frozen layers make of all training texts."""
        return self.cache / f"frozen-{key}-{name}.npy"

    def frozen_prefix_lock(self, key: str) -> Path:
        """Held by the worker that computes these arrays."""
        return self.cache / f"frozen-{key}.lock"

    def teacher(self, key: str) -> Path:
        """What a kept model says of all training texts."""
        return self.cache / f"teacher-{key}.npz"

    @property
    def logs(self) -> Path:
        """The folder of what workers wrote."""
        return self.path / "logs"

    def log_of(self, worker: int) -> Path:
        """What one worker, and the libraries in it, wrote to stderr."""
        return self.logs / f"worker-{worker}.log"

    @property
    def best_model(self) -> Path:
        """Where ``finegrid fit`` keeps a model, if not told otherwise."""
        return self.path / "models" / "best"

    def confirmation(self, name: str) -> Path:
        """The folder of a small study that confirms this one."""
        return self.path / f"confirm-{name}"

    @property
    def confirmations(self) -> list[Path]:
        """The folders of all small studies that are there."""
        return sorted(self.path.glob("confirm-*"))

    @property
    def report(self) -> Path:
        """The page; its facts lie beside it."""
        return self.path / "report.html"

    @property
    def replaceable(self) -> list[Path]:
        """Files beside the settings, and these, that finegrid writes as a draft first."""
        settings = (self.settings, self.split, self.strategies, self.audit, self.screen, self.imported)
        return [*settings, self.progress, self.lease, self.report, self.path / FACTS_FILE]

    def figure(self, name: str, style: str) -> Path:
        """One figure as a file."""
        return self.path / f"{name}.{style}"

    @property
    def export(self) -> Path:
        """The folder of what other tools read."""
        return self.path / "export"

    @property
    def written_files(self) -> list[Path]:
        """The files at its top that commands at work write."""
        records = [self.split, self.strategies, self.audit, self.ledger, self.screen, self.looks]
        return [*records, self.imported, self.progress, self.lock, self.lease]

    @property
    def written_folders(self) -> list[Path]:
        """The folders that they alone write to, and nobody else puts anything into."""
        return [self.predictions, self.states, self.cache, self.logs, *self.confirmations]

    def relative(self, path: Path) -> str:
        """A path of this folder as messages name it: ``predictions/1f3a.npz``."""
        return path.relative_to(self.path).as_posix()
