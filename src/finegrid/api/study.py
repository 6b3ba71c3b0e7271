"""A study from Python: made, planned, trained, judged and taken elsewhere."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from finegrid.api.created import Factors, StudyData, create_study, take_factors, take_settings
from finegrid.api.execution import Execution, check_alone
from finegrid.api.frames import Data
from finegrid.api.plan import Plan, RunSummary
from finegrid.api.progress import Listen, Listener
from finegrid.api.showing import html_line
from finegrid.api.wording import COMMAND_LINE, in_python
from finegrid.data.settings import Encoding, Format, Quoting, Separator
from finegrid.errors import input_error
from finegrid.metrics import TOLERANCE
from finegrid.running.admitting import admit
from finegrid.spelling import expand_user
from finegrid.study.drafting import InitOptions
from finegrid.study.far_data import describe_far
from finegrid.study.folder import StudyFolder
from finegrid.study.imported import load_imported
from finegrid.study.load import read_study

if TYPE_CHECKING:
    from finegrid.api.classifier import Classifier
    from finegrid.api.table import Table
    from finegrid.api.verdict import Verdict

FolderPath: TypeAlias = "str | os.PathLike[str]"
DEFAULT_OUT = "finegrid-study"
Device: TypeAlias = Literal["cpu", "cuda"]
Precision: TypeAlias = Literal["fp32", "bf16", "auto"]


@dataclass(frozen=True, repr=False)
class Study:
    """A study in its folder, which is all its state. The command line goes on with it, and Python too.

    Attributes:
        folder: Of the study, or of an imported table (which has a verdict and runs, and nothing to train).
        took: What `Study.create` took the data for, line by line; empty of a study that was there.
        warnings: What `Study.create` found in data and checkpoint; what a study that `Study.load` opened
            reads from outside its folder.
    """

    folder: Path
    took: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    @in_python
    def create(
        cls,
        out: FolderPath = DEFAULT_OUT,
        *,
        train: Data,
        model: FolderPath,
        dev: Data | None = None,
        test: Data | None = None,
        text: str | tuple[str, str] | None = None,
        label: str | None = None,
        factors: Factors | None = None,
        settings: Mapping[str, Any] | None = None,
        preset: str | None = None,
        score: str = "macro-f1",
        seeds: int = 3,
        design: str | None = None,
        resolution: str | int | None = None,
        header: bool | None = None,
        format: Format | None = None,
        separator: Separator | None = None,
        quoting: Quoting | None = None,
        encoding: Encoding = "auto",
        clean: FolderPath | None = None,
        near_twins: bool = False,
    ) -> Study:
        """Make a study, as `finegrid init` does: data, columns, checkpoint and settings are checked first.

        Args:
            out: the folder to make. It must not hold anything yet.
            train: training texts: a path (CSV, TSV, JSONL, Parquet), a frame of pandas or polars, a table of
                pyarrow, a mapping of columns, or a list of rows as dictionaries. What is no file is written
                into the study, as Parquet.
            model: a checkpoint: a folder, a hub id, or "mini-zh".
            dev: texts that choose epochs; None: a part of train.
            test: texts that measure; None: a part of train.
            text: the column of the texts; two for pairs; None: found out.
            label: the column of the labels; None: found out.
            factors: what to vary: levels by factor, {"optimizer.rate": [2e-5, 1e-4]}, of which the first is
                the baseline's; or names, ["LLRD", "warmup"], each at its usual levels.
            settings: of the baseline, {"training.epochs": 4}.
            preset: a set of factors by name; None: ``factors`` alone, or else "thucnews64".
            score: "macro-f1", "accuracy", "mcc" or "f1:<label>".
            seeds: replicates of every recipe.
            design: "full", "fractional", "one-at-a-time" or "screen"; None: as it suits.
            resolution: of a fraction or screen: 3, 4 or 5.
            header: of CSV and TSV: whether the first row names the columns.
            format: of the files; None: as they look.
            separator: between columns, as the character; None: as it looks.
            quoting: "rfc4180" or "none".
            encoding: of text files.
            clean: a folder for the files without leaks, repeats and the like, which the study then reads.
            near_twins: look for nearly equal texts among more than 200,000, too.

        Raises:
            InputError: all that is wrong with one of these; then nothing is written.
        """
        folder = expand_user(out)
        data = StudyData.of(folder, {"train": train, "dev": dev, "test": test})
        names, varied = take_factors(factors)
        options = InitOptions(
            train=data.files["train"],
            model=str(model),
            dev=data.files.get("dev"),
            test=data.files.get("test"),
            preset=preset,
            factors=names,
            varied=varied,
            text=() if text is None else (text,) if isinstance(text, str) else tuple(text),
            label=label,
            header=header,
            format=format,
            separator=separator,
            quoting=quoting,
            encoding=encoding,
            score=score,
            seeds=seeds,
            design=design,
            resolution=None if resolution is None else str(resolution),
            levels=take_settings(settings),
            clean=None if clean is None else Path(clean),
            near_twins=near_twins,
        )
        written = create_study(folder, data, options)
        return cls(folder, tuple(written.took), tuple(written.warnings))

    @classmethod
    @in_python
    def load(cls, folder: FolderPath, *, allow_code: bool = False) -> Study:
        """A study that is there, or an imported table. The model may be elsewhere.

        Args:
            folder: of the study.
            allow_code: let the study's own strategies run, which are code: they are described, if nobody has
                done so yet.

        Raises:
            InputError: neither, or a study.toml with problems: all of them.
        """
        path = expand_user(folder)
        if load_imported(path) is not None:
            return cls(path)
        if allow_code:
            admit(path, allow_code, runs=False)
        far = describe_far(read_study(path))
        return cls(path, warnings=() if far is None else (far,))

    @in_python
    def plan(
        self,
        *,
        probe: bool = False,
        seeds: int | None = None,
        workers: int | None = None,
        device: Device | None = None,
        precision: Precision | None = None,
        memory: float | None = None,
        on: str | None = None,
        mix: bool = False,
        allow_code: bool = False,
        progress: bool | Listen = False,
    ) -> Plan:
        """What the study will run, and what that takes.

        Args:
            probe: look at data and model first: inert levels, time and memory. Takes up to some minutes.
            seeds: the first so many; None: those of study.toml.
            workers: processes that train; None: what cores and memory carry.
            device: None: study.toml's.
            precision: None: study.toml's.
            memory: GiB for all workers together.
            on: as of `run`: what the study takes there.
            mix: with ``on``: nodes may differ from each other.
            allow_code: let the study's own strategies run, which are code; asked again when they change.
            progress: of probing, as of `run`.

        Raises:
            InputError: a study.toml with problems, or with ``probe`` data or a model that cannot be used.
        """
        listener = Listener(progress)
        asked = Execution(self.folder, workers, mix, listener, device, precision, memory, on, only_nodes=True)
        asked = replace(asked, allow_code=allow_code)
        return asked.plan(seeds, probe)

    @in_python
    def run(
        self,
        *,
        seeds: int | None = None,
        rows: Collection[int] | None = None,
        workers: int | None = None,
        device: Device | None = None,
        precision: Precision | None = None,
        memory: float | None = None,
        on: str | None = None,
        storage: str | None = None,
        mix: bool = False,
        margin: float | None = None,
        until_decided: bool = False,
        seconds: float | None = None,
        allow_code: bool = False,
        progress: bool | Listen = False,
    ) -> RunSummary:
        """Train what is still missing, in processes of their own. Stop it whenever you like: it resumes.

        Workers import nothing of yours: a script needs no ``if __name__ == "__main__"``. Ctrl-C, or a
        notebook's interrupt, raises KeyboardInterrupt here after the workers have ended; so does an error
        of ``progress``. What has ended by then is kept.

        Args:
            seeds: the first so many; None: those of study.toml.
            rows: only what these rows of the study's table need, counted from 1.
            workers: processes that train; None: what cores and memory carry.
            device: None: study.toml's.
            precision: None: study.toml's.
            memory: GiB for all workers together; None: 60 % of the machine's, or 80 % of each GPU's.
            on: a Ray cluster, "ray" or "ray://host:10001"; None: this machine. See docs/cluster.md.
            storage: with ``on``: a folder or URL where states are kept that other nodes go on from.
            mix: allow runs of several devices, precisions, numbers of threads, stacks and nodes.
            margin: points, of a screen or with ``until_decided``; smaller differences are none.
            until_decided: add seeds, at planned looks, until every verdict is in.
            seconds: begin no run that would not end before this time is over; `RunSummary.runs` says what is
                left, and the same call goes on.
            allow_code: as of `plan`.
            progress: True: on stderr, as the command line. A function: is given `Progress` values.

        Returns:
            How the study stands. Runs that diverge or fail raise nothing: `RunSummary.failures` has them.

        Raises:
            InputError: bad data or model, a study that is at work already, options that do not go together,
                or settings unlike those of finished runs.
            WorkerBrokeError: a worker could not even start.
            ClusterLostError: the cluster is gone. What has ended is kept, and the same call goes on.
        """
        listener = Listener(progress)
        execution = Execution(self.folder, workers, mix, listener, device, precision, memory, on, storage)
        execution = replace(execution, allow_code=allow_code)
        if until_decided:
            check_alone(seeds, rows)
            return execution.add_seeds(seconds, margin)
        return execution.train(seeds, rows, margin, seconds)

    @in_python
    def verdict(self, *, margin: float | None = None, tolerance: float = TOLERANCE) -> Verdict:
        """What each strategy is worth, and which recipe to use, from the runs that are there.

        Args:
            margin: points; smaller differences are none. None: a tenth of the baseline's error, 0.2 to 0.5.
            tolerance: points that a recommended recipe may lose against the baseline.

        Raises:
            InputError: a study that has not been started, or predictions that cannot be read.
        """
        from finegrid.api.verdict import Verdict
        from finegrid.export.content import name_study
        from finegrid.results.load import any_results
        from finegrid.verdict.interim import with_interim_decisions

        judged = with_interim_decisions(any_results(self.folder), margin, tolerance)
        return Verdict.of(judged, name_study(self.folder))

    @in_python
    def runs(self) -> Table:
        """A row per distinct recipe and seed, whatever became of it: the columns of docs/export.md.

        Raises:
            InputError: a study that has not been started.
        """
        from finegrid.api.results import runs_table

        return runs_table(self.folder)

    @in_python
    def epochs(self) -> Table:
        """A row per epoch that has ended, of every run.

        Raises:
            InputError: a study that has not been started.
        """
        from finegrid.api.results import epochs_table

        return epochs_table(self.folder)

    @in_python
    def predictions(self) -> Table:
        """A row per text of dev and test, of every finished run: what it says, and how sure it is.

        Raises:
            InputError: a study that has not been started, or predictions that cannot be read.
        """
        from finegrid.api.results import predictions_table

        return predictions_table(self.folder)

    @in_python
    def report(
        self,
        path: FolderPath | None = None,
        *,
        figure: str | None = None,
        lang: str = "en",
        margin: float | None = None,
        tolerance: float = TOLERANCE,
    ) -> Path:
        """Write the report, and return where it lies.

        Args:
            path: the ending says what: ``.html`` (a page, with its facts beside it), ``.md`` (tables),
                ``.svg`` or ``.png`` (one figure). None: ``report.html`` in the study's folder.
            figure: which one: forest, frontier, seeds, ...
            lang: en or zh.
            margin: as of `verdict`.
            tolerance: as of `verdict`.

        Raises:
            InputError: another ending, no such figure, or a study that has not been started.
        """
        from finegrid.report.write import FORMATS, write_report
        from finegrid.spelling import parse_lang

        out = StudyFolder(self.folder).report if path is None else expand_user(path)
        style = out.suffix.lower().removeprefix(".")
        if style not in FORMATS or (style in ("svg", "png")) != (figure is not None):
            what = f'found "{out.name}" with figure={figure!r}. Expected .html or .md, or the name of '
            raise input_error(COMMAND_LINE, "path", f"{what}a figure and .svg or .png.")
        write_report(self.folder, style, figure, out, parse_lang(lang), margin, tolerance)
        return out

    @in_python
    def export(
        self,
        to: Literal["csv", "parquet", "tensorboard", "mlflow"],
        *,
        out: FolderPath | None = None,
        predictions: bool = False,
        tracking_uri: str | None = None,
    ) -> list[str]:
        """Take the study into another tool, as `finegrid export` does. Returns what was written, in words.

        Raises:
            InputError: another tool, options that do not go together, a place that is taken, or a study that
                has not been started.
        """
        from finegrid.export.export import FORMATS, ExportOptions, export_study

        if to not in FORMATS:
            raise input_error(COMMAND_LINE, "to", f'found "{to}", expected {", ".join(FORMATS)}.')
        place = None if out is None else expand_user(out)
        return export_study(self.folder, ExportOptions(to, place, predictions, tracking_uri))

    @in_python
    def fit(
        self,
        recipe: str | int | None = None,
        *,
        out: FolderPath | None = None,
        seed: int | None = None,
        force: bool = False,
        device: Device | None = None,
        precision: Precision | None = None,
        on: str | None = None,
        storage: str | None = None,
        mix: bool = False,
        margin: float | None = None,
        tolerance: float = TOLERANCE,
        allow_code: bool = False,
        progress: bool | Listen = False,
    ) -> Classifier:
        """Train one recipe and keep its model, as `finegrid fit` does.

        Args:
            recipe: a row of the study's table, "baseline", or levels on top of it, "reinit.layers=6"; None:
                what the verdict recommends.
            out: where the model goes; None: ``models/best`` in the study's folder.
            seed: None: the study's first.
            force: replace a model that is there already.
            device: None: study.toml's.
            precision: None: study.toml's.
            on: as of `run`; the model is brought here.
            storage: as of `run`.
            mix: with ``on``: nodes may differ from each other.
            margin: as of `verdict`.
            tolerance: as of `verdict`.
            allow_code: as of `plan`.
            progress: as of `run`.

        Raises:
            InputError: no such recipe, nothing to recommend yet, or a place that is taken.
            RuntimeError: the run diverged or failed, and no model was kept.
            ClusterLostError: the cluster is gone; the same call goes on.
        """
        from finegrid.api.classifier import Classifier

        given = device, precision, None, on, storage
        execution = Execution(self.folder, None, mix, Listener(progress), *given, only_nodes=True)
        execution = replace(execution, allow_code=allow_code)
        place = None if out is None else expand_user(out)
        name = None if recipe is None else str(recipe)
        return Classifier.load(execution.fit(name, place, seed, force, margin, tolerance))

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"

    def __str__(self) -> str:
        return "\n".join([repr(self), *self.took, *(f"warning: {warning}" for warning in self.warnings)])

    def _repr_html_(self) -> str:
        return html_line(str(self), "pre")
