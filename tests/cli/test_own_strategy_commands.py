"""Strategies of a user's own on the command line: allowed, planned, trained, judged, read without code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support.command_line import Call, command_line, finegrid, finished, records
from support.strategies.own import name_own, write_own
from support.studies import save_word_checkpoint, write_data, write_word_study

import finegrid as fg
from finegrid import allowed_code
from finegrid.study.identity import identify
from finegrid.study.load import load_study, read_study
from finegrid.study.study import Study

PLAIN: Mapping[str, Sequence[object]] = {"schedule.warmup_ratio": [0.0, 0.1]}
FACTORS: Mapping[str, Sequence[object]] = {"centre.share": [0.0, 1.0], **PLAIN}
NOT_ALLOWED = "is code that would run, and you have not allowed it yet (SHA-256 "


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has allowed nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def write_home(home: Path) -> Path:
    write_data(home / "data")
    save_word_checkpoint(home / "model")
    study = write_word_study(home / "study", Path("../model"), FACTORS)
    write_own(study)
    name_own(study, "centre.py")
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a strategy of its own that has run, beside its data and model."""
    home = write_home(tmp_path_factory.mktemp("home"))
    with command_line() as call, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        done = call("run", home / "study", "--workers", "1", "--allow-code")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def study(home: Path, tmp_path: Path) -> Path:
    """A copy, of a user who has allowed nothing."""
    shutil.copytree(home, tmp_path / "home", ignore=shutil.ignore_patterns("config"))
    return tmp_path / "home" / "study"


def ids(study: Study) -> dict[tuple[object, ...], str]:
    """Of the runs of all rows, by their levels."""
    from finegrid.study.audit_file import load_audit

    audit = load_audit(study.folder)
    assert audit is not None
    runs = {tuple(row.levels.values()): audit.row(row) for row in study.rows}
    return {
        levels: identify(study, audit, "fp32", audited.run, 0) for levels, audited in runs.items() if audited
    }


def test_nothing_runs_that_nobody_has_allowed(tmp_path: Path, call: Call) -> None:
    study = write_home(tmp_path / "home") / "study"
    (study / "centre.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")

    for command in ("plan", "run", "status", "fit", "confirm"):
        refused = call(command, study)
        assert refused.returncode == 2, command
        assert (NOT_ALLOWED if command != "status" else "does not tell of it") in refused.stderr
        assert "--allow-code" in refused.stderr
    assert not (study / "ran").exists() and not (study / "strategies.json").exists()
    assert call("plan", study, "--allow-code").returncode == 2  # it holds no strategy
    assert (study / "ran").exists()  # so this is what would have run


def test_what_is_allowed_stays_so_until_it_changes(study: Path, call: Call) -> None:
    assert NOT_ALLOWED in call("run", study).stderr
    assert call("run", study, "--allow-code").returncode == 0
    assert call("run", study).returncode == 0
    assert len(allowed_code.read_allowed()) == 1

    text = (study / "centre.py").read_text()
    (study / "centre.py").write_text(f"{text}# changed\n")
    refused = call("run", study)
    assert refused.returncode == 2 and NOT_ALLOWED in refused.stderr
    (study / "centre.py").write_text(text)
    assert call("run", study).returncode == 0


def test_a_list_that_cannot_be_written_says_so(
    study: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))

    refused = call("plan", study, "--allow-code")

    assert refused.returncode == 2 and "Set XDG_CONFIG_HOME to a folder that can." in refused.stderr


def test_reading_commands_run_no_code_and_need_no_permission(study: Path, call: Call) -> None:
    (study / "centre.py").unlink()  # as where a study was copied without it

    for command in ("status", "table", "verdict"):
        done = call(command, study)
        assert done.returncode == 0, done.stderr
    assert "centre.share" in done.stdout
    assert call("report", study).returncode == 0
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "Gradient Centralization" in page and "how much of the mean" in page


def test_reading_commands_import_no_torch_whatever_the_strategy_imports(study: Path, tmp_path: Path) -> None:
    """A torch that cannot be imported stands first; what trains would meet it."""
    first = tmp_path / "first" / "torch"
    first.mkdir(parents=True)
    (first / "__init__.py").write_text("raise AssertionError('torch was imported')\n")
    settings = {"PYTHONPATH": os.pathsep.join([str(first.parent), os.environ.get("PYTHONPATH", "")])}
    described = (study / "strategies.json").read_bytes()

    for command in ("plan", "verdict"):
        done = finegrid(command, study, settings=settings)
        assert done.returncode == 0, done.stderr
    assert (study / "strategies.json").read_bytes() == described
    (study / "strategies.json").unlink()
    asked = finegrid("plan", study, "--allow-code", settings=settings)
    assert asked.returncode == 2 and "centre.py: line 12" in asked.stderr
    assert "AssertionError: torch was imported" in asked.stderr


def test_a_changed_file_is_another_strategy(study: Path, call: Call) -> None:
    before = ids(read_study(study))
    run_before = {record["run_id"] for record in records(study)}
    assert run_before == {*before.values()}
    with (study / "centre.py").open("a") as file:
        file.write("# changed\n")

    assert "warning: centre.py has changed since strategies.json" in call("status", study).stderr
    done = call("run", study, "--workers", "1", "--allow-code")

    assert done.returncode == 0, done.stderr
    now = ids(read_study(study))
    assert {levels for levels in now if now[levels] == before[levels]} == {(0.0, 0.0), (0.0, 0.1)}
    assert {record["run_id"] for record in records(study)} == {*before.values(), *now.values()}


def test_runs_at_which_it_is_switched_off_are_those_of_a_study_without(study: Path) -> None:
    mine = ids(read_study(study))
    plain = study.with_name("plain")
    shutil.copytree(study, plain)
    text = (plain / "study.toml").read_text().replace('[strategies]\nfiles = ["centre.py"]\n', "")
    (plain / "study.toml").write_text(text.replace('"centre.share" = [0.0, 1.0]\n', ""))
    without = ids(read_study(plain))

    assert {levels[-1:]: one for levels, one in mine.items() if levels[0] == 0.0} == without


def test_the_proof_says_what_it_changes(study: Path, call: Call) -> None:
    audit = json.loads((study / "audit.json").read_text())
    (proof,) = (one for one in audit["proofs"] if one["factor"] == "centre.share")

    assert [change["aspect"] for change in proof["changes"]] == ["gradients"] and not proof["beyond"]
    assert not [line for line in audit["warnings"] if "centre" in line]


def test_it_is_set_in_a_bundle_like_any_other(study: Path, call: Call) -> None:
    settings = study / "study.toml"
    text = settings.read_text()
    bundle = '[factors.kind]\nusual = {}\nmine = { "centre.share" = 0.5, "optimizer.rate" = 0.02 }\n'
    settings.write_text(text.replace('"centre.share" = [0.0, 1.0]\n', "") + bundle)
    assert call("plan", study, "--allow-code").returncode == 0
    assert read_study(study).rows[-1].recipe.moved()["centre.share"] == 0.5


@pytest.mark.parametrize(
    ("design", "rows"),
    [
        ('kind = "fractional"\nresolution = 4', 8),
        ('kind = "screen"\nresolution = 4', 8),
        ('kind = "one-at-a-time"', 5),
        ('kind = "full"\nseeds = 5\nresample = 5', 16),
    ],
)
def test_it_is_a_factor_of_any_design(design: str, rows: int, study: Path, call: Call) -> None:
    settings = study / "study.toml"
    text = settings.read_text().replace('dev = "../data/dev.tsv"\ntest = "../data/test.tsv"', "")
    more = '"reinit.layers" = [0, 1]\n"optimizer.bias_correction" = [true, false]\n'
    text = text.replace("[factors]\n", f"[factors]\n{more}").replace("[design]\n", f"[design]\n{design}\n")
    settings.write_text(text)

    planned = call("plan", study, "--allow-code")

    assert planned.returncode == 0, planned.stderr
    assert len(read_study(study).rows) == rows and "centre.share: 0.0, 1.0" in planned.stdout


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("[0.0, 1.0]", "[0.0, 2.0]", "level 2.0: expected less than or equal to 1"),
        ("centre.share", "centre.shar", 'Did you mean "centre.share"?'),
        ('files = ["centre.py"]', 'files = ["center.py"]', "cannot be read"),
        ('files = ["centre.py"]', 'files = "centre.py"', "expected a valid list"),
        ('files = ["centre.py"]', 'file = ["centre.py"]', "strategies"),
        ('files = ["centre.py"]', 'files = ["centre.py", "sub/centre.py"]', "what centre.py is called, too"),
        ('files = ["centre.py"]', 'files = ["design.py"]', '"design" is a table of study.toml'),
        ('files = ["centre.py"]', 'installed = ["centre"]', "no installed packages have an entry point"),
    ],
)
def test_what_study_toml_says_wrong_of_it_is_told(
    wrong: str, right: str, said: str, study: Path, call: Call
) -> None:
    settings = study / "study.toml"
    text = settings.read_text()
    assert wrong in text
    settings.write_text(text.replace(wrong, right))
    for other in ("sub/centre.py", "design.py"):
        (study / other).parent.mkdir(exist_ok=True)
        (study / other).write_bytes((study / "centre.py").read_bytes())

    refused = call("plan", study, "--allow-code")

    assert refused.returncode == 2 and said in refused.stderr, refused.stderr


def test_problems_that_only_its_code_knows_are_told_by_plan(study: Path, call: Call) -> None:
    problems = (
        "    def problems(self, checkpoint):\n"
        "        from finegrid.errors import Problem\n\n"
        '        return [Problem("centre.share", "not with this model.")] if self.share else []\n\n'
    )
    write_own(study, changed={"    def change": f"{problems}    def change"})

    refused = call("plan", study, "--allow-code")

    assert refused.returncode == 2 and "centre.share    not with this model." in refused.stderr


def test_what_is_recommended_is_confirmed_and_kept(study: Path, call: Call) -> None:
    kept = call("fit", study, "--recipe", "centre.share=0.5", "--allow-code")
    assert kept.returncode == 0, kept.stderr
    told = json.loads((study / "models/best/finegrid.json").read_text())
    assert told["recipe"]["centre.share"] == 0.5
    assert told["fingerprints"]["strategies.centre"] == read_study(study).own.digests["centre"]
    assert call("predict", study / "models/best", "--text-value", "goal match").returncode == 0


def test_its_small_study_of_a_confirmation_has_it_too(study: Path, call: Call) -> None:
    from finegrid.results.load import load_results
    from finegrid.verdict.confirm import make_small_study

    whole = read_study(study)
    results = load_results(whole)
    chosen = next(one for one in results.recipes if one.levels["centre.share"] == 1.0)
    small = make_small_study(load_study(study), results, chosen, 1, None)

    assert read_study(small).own.digests == whole.own.digests
    assert read_study(small).factors["centre.share"] == [0.0, 1.0]
    done = call("run", small, "--workers", "1", "--allow-code")
    assert done.returncode == 0, done.stderr
    assert {record["recipe"].get("centre.share") for record in records(small)} == {None, 1.0}


def test_python_asks_as_well(study: Path, call: Call) -> None:
    (study / "strategies.json").unlink()
    with pytest.raises(fg.InputError, match="does not tell of it"):
        fg.Study.load(study)
    ours = fg.Study.load(study, allow_code=True)
    allowed_code.find_list().unlink()
    with pytest.raises(fg.InputError, match=r"have not allowed it yet .* with allow_code"):
        ours.run(workers=1)

    assert not ours.run(workers=1, allow_code=True).failures
    assert "centre.share" in str(ours.verdict())


def test_a_strategy_of_an_installed_package_is_used_by_its_name(
    study: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    for name in ("ownpackage", "ownpackage-1.0.dist-info"):
        (packages / name).mkdir(parents=True)
    (packages / "ownpackage" / "__init__.py").write_text("")
    write_own(packages / "ownpackage")
    about = packages / "ownpackage-1.0.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ownpackage\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[finegrid.strategies]\ncentre = ownpackage.centre\n")
    monkeypatch.syspath_prepend(packages)
    settings = study / "study.toml"
    settings.write_text(settings.read_text().replace('files = ["centre.py"]', 'installed = ["centre"]'))

    refused = call("run", study)
    assert refused.returncode == 2 and f"centre    {NOT_ALLOWED}" in refused.stderr
    done = call("run", study, "--workers", "1", "--allow-code")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads((study / "strategies.json").read_text())["strategies"]
    assert told["source"] == "centre" and "centre.share" in call("verdict", study).stdout


@pytest.mark.slow
def test_processes_of_their_own_come_to_the_same(home: Path, tmp_path: Path) -> None:
    """The describing process and the workers, as users have them."""
    shutil.copytree(home, tmp_path / "home", ignore=shutil.ignore_patterns("config", "runs.jsonl", "strat*"))
    study = tmp_path / "home" / "study"
    settings = {"XDG_CONFIG_HOME": str(tmp_path / "config")}

    refused = finegrid("run", study, settings=settings)
    assert refused.returncode == 2 and NOT_ALLOWED in refused.stderr
    done = finegrid("run", study, "--workers", "2", "--allow-code", settings=settings)

    assert done.returncode == 0, done.stderr
    assert finished(study) == finished(home / "study")
