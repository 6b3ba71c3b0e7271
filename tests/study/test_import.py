"""Tables from anywhere become imported studies, or are refused with everything that is wrong with them."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import Call

from finegrid.errors import InputError
from finegrid.results.from_table import imported_results
from finegrid.results.imported_table import render_imported
from finegrid.spelling import Lang
from finegrid.study.imported import Imported, load_imported, save_imported
from finegrid.study.importing.examples import FOLDER, load_example
from finegrid.study.importing.importing import ImportOptions, import_table
from finegrid.study.load import load_study

PUBLISHED = FOLDER / "thucnews64-published.csv"


def read(tmp_path: Path, text: str | bytes, name: str = "table.csv", **wishes: object) -> Imported:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return import_table(path, ImportOptions(**wishes))  # type: ignore[arg-type]


def problems(tmp_path: Path, text: str | bytes, name: str = "table.csv", **wishes: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, name, **wishes)
    return [f"{problem.where}: {problem.what}" for problem in caught.value.problems]


def test_the_published_table_comes_back_as_it_was(tmp_path: Path) -> None:
    imported = import_table(PUBLISHED)

    header, *rows = (line.split(",") for line in PUBLISHED.read_text().splitlines())
    printed_header, *printed = (line.split(",") for line in render_imported(imported, "csv").splitlines())
    assert printed_header == header
    assert [row[:-1] for row in printed] == [row[:-1] for row in rows]
    assert [row[-1] for row in printed] == [f"{float(row[-1]):.4f}" for row in rows]
    assert list(imported.factors.values()) == [
        [True, False],
        ["all", "matrices"],
        [False, True],
        [0, 6],
        [0, 6],
        [0.0, 0.1],
    ]
    assert [row.index for row in imported.rows] == list(range(1, 65))
    assert imported.rows[49].result == 94.05 and imported.rows[54].result == 92.81


def test_what_is_saved_is_loaded_with_types_and_all(tmp_path: Path) -> None:
    imported = read(
        tmp_path,
        "a,b,c,d,f1,seed\n1,1.0,true,x,0.5,3\n2,0.5,false,y,0.6,4\n1,0.5,true,y,,3\n2,1.0,true,y,,3\n",
    )
    save_imported(tmp_path / "new" / "folder", imported)
    loaded = load_imported(tmp_path / "new" / "folder")

    assert loaded == imported and [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [
        "imported.json"
    ]
    assert loaded is not None
    kinds = {name: {type(level) for level in levels} for name, levels in loaded.factors.items()}
    assert kinds == {"a": {int}, "b": {float}, "c": {bool}, "d": {str}}
    assert [type(level) for level in loaded.rows[0].levels.values()] == [int, float, bool, str]


@pytest.mark.parametrize("unit", ["epoch", "run"])
@pytest.mark.parametrize(("style", "lang"), [("csv", "en"), ("markdown", "en"), ("markdown", "zh")])
def test_a_printed_table_can_be_imported_again(tmp_path: Path, style: str, lang: Lang, unit: str) -> None:
    rows = '"a|b *c* \\ `d` <b>",1,0,0.93761,3.5\n_x_,2,1,,\n**y**,2,1,50e-2,4\n'
    text = f"way,n,seed,result,seconds_per_{unit}\n{rows}"
    imported = read(tmp_path, text)
    again = read(tmp_path, render_imported(imported, style, lang), "again.txt")

    assert (again.factors, again.rows) == (imported.factors, imported.rows)
    assert again.seconds_per == unit


def test_the_example_says_what_the_table_cannot(tmp_path: Path) -> None:
    imported = load_example("thucnews64-published")

    assert list(imported.inert) == ["reinit.pooler"] and "pooler" in imported.inert["reinit.pooler"]
    assert len(imported.rows) == 64 and len(set(imported.same_as())) == 32
    seconds = {(row.levels["freeze.layers"], row.seconds) for row in imported.rows}
    assert seconds == {(0, 65.4266), (6, 41.4246)} and imported.seconds_per == "epoch"
    assert any("best-test" in note for note in imported.notes)
    assert any("one run" in note for note in imported.notes)
    assert imported.warnings == []


def test_rows_that_differ_in_inert_factors_alone_are_repeats(tmp_path: Path) -> None:
    text = "a,b,f1\n0,0,0.1\n0,1,0.2\n1,0,0.3\n1,1,0.4\n"

    assert read(tmp_path, text).same_as() == [1, 2, 3, 4]
    assert read(tmp_path, text, inert={"b": "why"}).same_as() == [1, 1, 3, 3]
    assert read(tmp_path, text, inert={"b": "why"}).inert == {"b": "why"}


def test_factors_of_the_published_grid_go_by_both_names(tmp_path: Path) -> None:
    for name in ("reinit_pooler", "reinit.pooler"):
        assert import_table(PUBLISHED, ImportOptions(inert={name: "why"})).inert == {"reinit.pooler": "why"}


def test_a_grid_of_other_levels_keeps_its_own_names(tmp_path: Path) -> None:
    text = PUBLISHED.read_text().replace(",0,0,0,0,6,0.0,", ",0,0,0,0,4,0.0,")
    imported = read(tmp_path, text)

    assert next(iter(imported.factors)) == "bertadam" and imported.factors["frozen_layers"] == [0, 4, 6]
    assert any("frozen_layers" in warning for warning in imported.warnings)


def test_a_part_of_the_published_grid_is_that_grid(tmp_path: Path) -> None:
    lines = PUBLISHED.read_text().splitlines()
    imported = read(tmp_path, "\n".join([lines[0], *lines[1:40:3]]))

    assert imported.factors["freeze.layers"] == [0, 6] and imported.rows[1].index == 4


def test_the_first_row_is_the_baseline_unless_told(tmp_path: Path) -> None:
    text = "way,rate,f1\nb,2e-5,0.1\na,1e-5,0.2\nc,1e-5,0.2\n"

    assert read(tmp_path, text).factors == {"way": ["b", "a", "c"], "rate": [2e-5, 1e-5]}
    told = read(tmp_path, text, baseline=["way=c", "rate=0.00001"])
    assert told.factors == {"way": ["c", "b", "a"], "rate": [1e-5, 2e-5]}


@pytest.mark.parametrize(
    ("cells", "points", "scale"),
    [
        (["0.9376", "1"], [93.76, 100], "0 to 1"),
        (["93.76", "100"], [93.76, 100], "0 to 100"),
        (["0.5%", "93.76 %"], [0.5, 93.76], "0 to 100"),
        (["0.5%", "0.7 %"], [0.5, 0.7], "0 to 100"),
        (["**93.76**", "_0_"], [93.76, 0], "0 to 100"),
        (["-0.25", ".5"], [-25, 50], "0 to 1"),
    ],
)
def test_results_are_points_whichever_way_they_are_written(
    tmp_path: Path, cells: list[str], points: list[float], scale: str
) -> None:
    imported = read(tmp_path, "a,mcc\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells)))

    assert [row.result for row in imported.rows] == points
    assert f"results were taken as {scale}" in imported.notes


def test_mixed_scales_are_refused_with_their_lines(tmp_path: Path) -> None:
    first, second = problems(tmp_path, "a,f1\n0,93.1\n1,0.94\n2,120\n")

    assert "line 3" in first and "0.94" in first and "line 4" in second and "120" in second


def test_rows_without_a_result_are_kept_and_said(tmp_path: Path) -> None:
    imported = read(tmp_path, "a,f1\n0,0.5\n1,\n2,OOM\n3,nan\n4,0.6\n")

    assert [row.result for row in imported.rows] == [50, None, None, None, 60]
    (warning,) = imported.warnings
    assert "3 rows without a result" in warning and "line 4: 'OOM'" in warning
    assert render_imported(imported, "csv").splitlines()[3] == "3,2,"


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    text = (
        "index,a,b,a,seed,f1,seconds\n"
        "1,0,x,0,0,0.5,1\n"
        "2,0,x\n"
        "x,0,y,0,0,0.5,1\n"
        "3,0,y,,1.5,0.5,1\n"
        "4,1,y,0,0,50,1\n"
        "5,1,y,0,0,0.7,-1\n"
    )
    found = problems(tmp_path, text, inert={"c": ""}, baseline=["b=z", "b", "bb=x"])

    for expected in (
        "2 columns are called 'a'",
        "line 3: 3 cells, expected 7",
        "line 4: index 'x'",
        "line 5: no level of 'a'",
        "line 5: seed '1.5'",
        "line 7: result '0.7'",
        "line 7: seconds '-1'",
        "line 7: the same recipe and seed as in line",
        "--inert: no factor 'c'",
        "no level 'z' of 'b'",
        "found 'b', expected factor=level",
        "no factor 'bb'. Did you mean 'b'?",
    ):
        assert any(expected in problem for problem in found), expected


@pytest.mark.parametrize(
    ("text", "wishes", "expected"),
    [
        ("a,b\n1,2\n", {}, "no column is called result"),
        ("a,f1,accuracy\n1,0.1,0.2\n", {}, "several columns may be the result: 'f1', 'accuracy'"),
        ("a,f1\n1,0.1\n", {"result": "f11"}, "Did you mean 'f1'?"),
        ("a,f1\n1,0.1\n", {"seconds": "F1"}, "cannot be both"),
        ("a,f1\n1,0.1\n2,0.2\n", {"inert": {"A": ""}}, "Did you mean 'a'?"),
        ("a,f1\n1,0.1\n2,0.2\n", {"inert": {"a": ""}}, "every factor"),
        ("a,f1\n1,0.1\n1,0.2\n", {}, "no column varies"),
        ("a,f1\n", {}, "a header without rows"),
        ("", {}, "no rows"),
        ("a,f1\n1,good\n2,bad\n", {}, "no result is a number"),
        ("a,,f1\n1,2,0.1\n", {}, "column 2 has no name"),
        ('a,f1\n"1,0.1\n', {}, "never closed"),
        (b"a,f1\n1,0.1\n\0", {}, "NUL"),
        ("a,f1\n1,0.1\n".encode("utf-16-le"), {}, "UTF-16 without a mark"),
        ("[\n  {}\n]", {}, "a JSON list"),
        ("index,a,f1\n1,1,0.1\n1,2,0.1\n", {}, "index 1 stands in line 2 too"),
        (
            "| a | f1 |\n|---|---|\n| 1 | 2 |\n\n| a | f1 |\n|---|---|\n| 1 | 2 |\n",
            {},
            "2 tables, in lines 1, 5",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, text: str | bytes, wishes: dict[str, Any], expected: str
) -> None:
    assert any(expected in problem for problem in problems(tmp_path, text, **wishes))


def test_the_other_results_of_a_table_are_no_factors(tmp_path: Path) -> None:
    imported = read(tmp_path, "a,f1,accuracy\n1,0.1,0.2\n2,0.3,0.4\n", result="accuracy")

    assert list(imported.factors) == ["a"] and imported.rows[0].result == 20 and imported.score == "accuracy"
    assert "'f1'" in imported.warnings[0]


def test_markdown_is_found_among_prose_and_its_ragged_rows_are_told(tmp_path: Path) -> None:
    table = "| **way** | `f1` |\n|:--|--:|\n| *a* | **0.5** |\n| b\\|c | 0.6 |\n"
    text = f"# Results\n\nOur | runs.\n\n{table}\nEnd.\n"
    imported = read(tmp_path, text, "notes.md")

    assert imported.factors == {"way": ["a", "b|c"]} and [row.result for row in imported.rows] == [50, 60]
    ragged = text.replace("| *a* | **0.5** |", "| a |\n| a | 0.5 | 7 |")
    assert [problem[:18] for problem in problems(tmp_path, ragged, "notes.md")] == [
        "notes.md line 7: 1",
        "notes.md line 8: 3",
    ]


def test_byte_order_marks_line_ends_tabs_and_chinese_are_read(tmp_path: Path) -> None:
    text = "序号\t冻结\t预热,比例\t准确率\r\n1\t是\t0\t0.91\r\n2\t否\t0.1\t0.92\r\n3\t是\t0.1\t0.93\r\n"
    imported = read(tmp_path, b"\xef\xbb\xbf\r\n" + text.encode(), "表.tsv")

    assert imported.factors == {"冻结": ["是", "否"], "预热,比例": [0.0, 0.1]} and imported.score == "准确率"
    chinese = read(tmp_path, text.encode("gb18030"), "table.tsv")
    assert chinese.factors == imported.factors and "GB18030" in chinese.warnings[0]


def test_semicolons_separate_where_nothing_else_does(tmp_path: Path) -> None:
    imported = read(tmp_path, "way;f1\na, b;0.5\nc;0.6\n")

    assert imported.factors == {"way": ["a, b", "c"]}


@pytest.mark.parametrize(
    "name",
    [
        *("error", "Test_Error", "err", "error rate (%)", "evalLoss", "log_loss", "perplexity", "ppl", "WER"),
        *("cer", "rmse", "MAE", "val-mse", "cross_entropy", "错误率", "验证损失", "困惑度"),
    ],
)
def test_a_result_that_sounds_like_an_error_is_refused_unless_told_which_is_better(
    tmp_path: Path, name: str
) -> None:
    text = f"a,{name}\n1,0.5\n2,0.25\n"
    (problem,) = problems(tmp_path, text, result=name)

    assert f"result '{name}' sounds like an error" in problem
    assert "--lower-is-better" in problem and "--higher-is-better" in problem
    assert read(tmp_path, text, result=name, lower_is_better=True).lower_is_better
    assert not read(tmp_path, text, result=name, lower_is_better=False).lower_is_better


@pytest.mark.parametrize(
    "name", ["f1", "accuracy", "mcc", "closeness", "terse", "glossary", "正确率", "准确率"]
)
def test_other_results_are_taken_as_the_more_the_better(tmp_path: Path, name: str) -> None:
    assert not read(tmp_path, f"a,{name}\n1,0.5\n2,0.25\n", result=name).lower_is_better


@pytest.mark.parametrize(
    ("name", "lower", "cells", "results", "scale"),
    [
        ("error", True, ["0.062", "0.07"], [6.2, 7.0], "points"),
        ("wer", True, ["6.2", "7"], [6.2, 7.0], "points"),
        ("log_loss", True, ["0.35", "1.75"], [0.35, 1.75], "own"),
        ("perplexity", True, ["23.5", "310"], [23.5, 310.0], "own"),
        ("loss", False, ["-0.35", "-1.75"], [-0.35, -1.75], "own"),
        ("latency", True, ["180", "0.5"], [180.0, 0.5], "own"),
        ("accuracy", None, ["0.5", "0.25"], [50.0, 25.0], "points"),
    ],
)
def test_only_shares_are_taken_as_points(
    tmp_path: Path, name: str, lower: bool | None, cells: list[str], results: list[float], scale: str
) -> None:
    text = f"a,{name}\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells))
    imported = read(tmp_path, text, result=name, lower_is_better=lower)

    assert [row.result for row in imported.rows] == results and imported.scale == scale
    printed = [line.split(",")[-1] for line in render_imported(imported, "csv").splitlines()[1:]]
    share = 100 if scale == "points" else 1
    assert [float(cell) for cell in printed] == pytest.approx([result / share for result in results])
    again = render_imported(imported, "csv").replace("result", name)
    assert read(tmp_path, again, result=name, lower_is_better=lower).rows == imported.rows


def test_the_best_row_of_a_table_of_errors_has_the_least(tmp_path: Path) -> None:
    text = "a,err\n1,6.2\n2,5.1\n3,7.4\n"
    told = json.loads(render_imported(read(tmp_path, text, result="err", lower_is_better=True), "json"))
    accuracy = json.loads(render_imported(read(tmp_path, text.replace("err", "f1")), "json"))

    assert (told["best"], told["worst"], told["lower_is_better"]) == (2, 3, True)
    assert (accuracy["best"], accuracy["worst"], accuracy["lower_is_better"]) == (3, 2, False)


def test_a_table_kept_by_an_older_version_is_read(tmp_path: Path) -> None:
    save_imported(tmp_path, read(tmp_path, "a,f1\n1,0.5\n2,0.6\n"))
    kept = json.loads((tmp_path / "imported.json").read_text())
    del kept["lower_is_better"], kept["scale"]
    (tmp_path / "imported.json").write_text(json.dumps(kept))
    loaded = load_imported(tmp_path)

    assert loaded is not None and (loaded.lower_is_better, loaded.scale) == (False, "points")


def test_columns_that_say_the_same_are_one_factor_and_both_names_are_told(tmp_path: Path) -> None:
    text = "a,a2,way,b,f1\n0,0,x,0,0.5\n1,1,y,0,0.6\n0,0,x,1,0.7\n1,1,y,1,0.8\n"
    imported = read(tmp_path, text)

    assert imported.factors == {"a": [0, 1], "b": [0, 1]}
    same, renamed = imported.warnings
    assert same.startswith("'a' and 'a2' are the same in every row: nothing tells them apart")
    assert "'a' and 'way' go together in every row ('way' is x where that is 0, y where that is 1)" in renamed
    assert "'way' was left out" in renamed and all(set(row.levels) == {"a", "b"} for row in imported.rows)


def test_of_twin_columns_the_one_that_the_user_speaks_of_is_kept(tmp_path: Path) -> None:
    text = "a,way,b,f1\n0,x,0,0.5\n1,y,0,0.6\n0,x,1,0.7\n1,y,1,0.8\n"

    assert read(tmp_path, text, baseline=["way=y"]).factors == {"way": ["y", "x"], "b": [0, 1]}
    declared = read(tmp_path, text, inert={"way": "why"})
    assert list(declared.factors) == ["a", "way", "b"] and list(declared.inert) == ["way"]
    assert declared.warnings == []


def test_a_column_that_follows_from_another_is_no_twin_of_it(tmp_path: Path) -> None:
    """Three rates in two groups: the rate says more than the group."""
    imported = read(tmp_path, "rate,group,f1\n1,low,0.5\n2,low,0.6\n3,high,0.7\n")

    assert list(imported.factors) == ["rate", "group"] and imported.warnings == []


@given(st.text(st.sampled_from('a1.,;\t|-*_"\\\r\n %:x\u2028f'), max_size=60))
def test_whatever_a_file_holds_it_is_imported_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder, suppress(InputError):
        imported = read(Path(folder), f"a,f1\n{text}")
        save_imported(Path(folder) / "out", imported)
        assert load_imported(Path(folder) / "out") == imported
        render_imported(imported, "markdown")


def test_hostile_names_are_kept_and_shown_harmlessly(tmp_path: Path, call: Call) -> None:
    name = "<script>alert(1)</script>\x1b[31m\u202e|x"
    out = tmp_path / "out"
    table = tmp_path / "table.csv"
    table.write_text(f'"{name}","__class__",f1\n"<img src=x>",1,0.5\n"=cmd()",2,0.6\n')
    made = call("import", table, "--out", out, "--inert", "__class__")
    loaded = load_imported(out)

    assert made.returncode == 0, made.stderr
    assert loaded is not None and list(loaded.factors) == [name, "__class__"]
    for said in (made.stdout, made.stderr, call("table", out).stdout):
        assert "\x1b" not in said and "\u202e" not in said
    assert "\\<script\\>" in call("table", out).stdout


def test_repeats_without_seeds_are_kept_and_said(tmp_path: Path) -> None:
    imported = read(tmp_path, "a,f1\n1,0.5\n2,0.6\n1,0.7\n1,0.5\n")

    assert imported.same_as() == [1, 2, 1, 1] and len(imported.rows) == 4
    assert "2 rows with the recipe of an earlier one (e.g. lines 2 and 4)" in imported.warnings[0]


def test_one_index_may_have_several_seeds(tmp_path: Path) -> None:
    imported = read(tmp_path, "#,a,f1,seed\n7,1,0.5,0\n7,1,0.6,1\n9,2,0.7,0\n")

    assert [(row.index, row.seed) for row in imported.rows] == [(7, 0), (7, 1), (9, 0)]
    assert imported.warnings == []


def test_repeats_of_a_seed_displace_no_seed_and_are_blocks_whichever_rows_are_missing(tmp_path: Path) -> None:
    """The second recipe lacks a repeat of seed 0, so its repeat of seed 1 comes first."""
    text = "a,b,seed,f1\n1,x,0,0.10\n1,y,0,0.11\n1,x,1,0.12\n1,y,1,0.13\n2,x,0,0.2\n2,x,1,0.22\n2,y,1,0.23\n"
    imported = read(tmp_path, text, inert={"b": "declared"})
    found = imported_results(tmp_path, imported)

    scores = [{seed: row.test["f1"] for seed, row in each.records.items()} for each in found.recipes]
    assert scores == [{0: 0.10, 2: 0.11, 1: 0.12, 3: 0.13}, {0: 0.2, 1: 0.22, 3: 0.23}]


def test_no_time_at_all_is_an_unknown_time_and_is_said(tmp_path: Path) -> None:
    imported = read(tmp_path, "a,f1,seconds\n1,0.5,0\n1,0.6,20\n2,0.7,\n2,0.6,0.0\n")

    assert [row.seconds for row in imported.rows] == [None, 20.0, None, None]
    assert "1 row without seconds (lines 4)" in imported.warnings
    assert "2 rows with 0 seconds (lines 2, 5): taken as not known" in imported.warnings


def test_ten_thousand_rows_take_little_time(tmp_path: Path) -> None:
    rows = [f"{a},{b},{seed},0.{seed + 1000}" for a, b, seed in product("xy", "zw", range(2500))]
    start = time.perf_counter()
    imported = read(tmp_path, "a,b,seed,f1\n" + "\n".join(rows))

    assert len(imported.rows) == 10_000 and len(set(imported.same_as())) == 4
    assert time.perf_counter() - start < 5


def test_the_command_line_refuses_what_it_should(tmp_path: Path, call: Call) -> None:
    out = tmp_path / "out"
    assert call("example", "thucnews64-published", "--out", out).returncode == 0
    unknown = call("example", "thucnews", "--out", tmp_path / "other")
    twice = call("import", PUBLISHED, "--out", out)
    ran = call("run", out)

    assert unknown.returncode == 2 and "thucnews64-published" in unknown.stderr
    assert twice.returncode == 2 and "holds a study already" in twice.stderr
    assert ran.returncode == 2 and "there is nothing to run; finegrid verdict" in ran.stderr
    assert json.loads(call("table", out, "--format", "json").stdout)["best"] == 50
    with pytest.raises(InputError, match="nothing to run"):  # status and plan, too
        load_study(out)


def test_the_command_line_is_told_which_way_is_better(tmp_path: Path, call: Call) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,err\n0,6.2\n0,6.3\n1,5.1\n1,5.2\n")
    silent = call("import", table, "--out", tmp_path / "silent", "--result", "err")
    lower = call("import", table, "--out", tmp_path / "lower", "--result", "err", "--lower-is-better")
    higher = call("import", table, "--out", tmp_path / "higher", "--result", "err", "--higher-is-better")

    assert silent.returncode == 2 and "--lower-is-better" in silent.stderr
    assert not (tmp_path / "silent").exists()
    assert lower.returncode == higher.returncode == 0
    words = [call("verdict", tmp_path / name).stdout for name in ("lower", "higher")]
    assert "+1.10" in words[0] and "use: a = 1 (row 3)" in words[0] and "Less err is better" in words[0]
    assert "-1.10" in words[1] and words[1].startswith("keep what you have")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 2}', "\x00"])
def test_a_damaged_import_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "imported.json").write_text(text)

    with pytest.raises(InputError, match=r"imported\.json"):
        load_imported(tmp_path)
    assert load_imported(tmp_path / "nowhere") is None
