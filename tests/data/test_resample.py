"""Splits of one pool: drawn anew, each as large as without, equal texts and groups on one side."""

from itertools import combinations
from pathlib import Path

import numpy as np
from support.data_samples import HEADER, Files, rows, three

from finegrid.data.resample import Resampling
from finegrid.data.settings import DataSettings
from finegrid.data.table import DataTable, fingerprint_tables, load_pool, load_splits, load_table

FIVE = Resampling(5, False)
ONE: Files = {"train.tsv": HEADER + rows("x", 100, ("a", "b", "c")) + rows("y", 50, ("d",))}


def write(folder: Path, files: Files, **settings: object) -> DataSettings:
    for name, content in files.items():
        (folder / name).write_text(str(content), encoding="utf-8")
    named = {part: name for name in files for part in ("train", "dev", "test") if name.startswith(part)}
    return DataSettings.model_validate({**named, **settings})


def sizes(table: DataTable) -> list[list[int]]:
    return [np.bincount(split.labels).tolist() for split in (table.train, table.dev, table.test)]


def test_splits_have_the_sizes_of_the_fixed_split_and_other_texts(tmp_path: Path) -> None:
    settings = write(tmp_path, ONE)
    fixed = load_table(settings, tmp_path)
    tables = load_splits(settings, tmp_path, FIVE)

    assert len(tables) == 5
    assert all(sizes(table) == sizes(fixed) for table in tables)
    for one, other in combinations(tables, 2):
        shared = np.intersect1d(one.test.ids, other.test.ids)
        assert 0 < len(shared) < 0.5 * len(one.test)
    for table in tables:
        ids = np.concatenate([table.train.ids, table.dev.ids, table.test.ids])
        assert sorted(ids.tolist()) == list(range(1, 351))
    assert not (tmp_path / "split.tsv").exists()


def test_a_split_is_the_same_however_many_there_are_and_the_seed_moves_all(tmp_path: Path) -> None:
    settings = write(tmp_path, ONE)
    five, eight = (load_splits(settings, tmp_path, Resampling(count, False)) for count in (5, 8))
    other = load_splits(settings.model_copy(update={"split_seed": 1}), tmp_path, FIVE)

    assert [table.fingerprint() for table in five] == [table.fingerprint() for table in eight[:5]]
    assert not {table.fingerprint() for table in five} & {table.fingerprint() for table in other}
    assert fingerprint_tables(five) != fingerprint_tables(eight)
    assert fingerprint_tables(five[:1]) == five[0].fingerprint()


def test_a_test_file_stays_the_test_set_of_all_splits(tmp_path: Path) -> None:
    settings = write(tmp_path, three())
    fixed, tables = load_table(settings, tmp_path), load_splits(settings, tmp_path, FIVE)

    assert all(table.test.texts == fixed.test.texts for table in tables)
    assert all(sizes(table) == sizes(fixed) for table in tables)
    pool = {*fixed.train.texts, *fixed.dev.texts}
    assert all({*table.train.texts, *table.dev.texts} == pool for table in tables)
    assert tables[0].dev.texts != tables[1].dev.texts


def test_a_test_file_joins_the_pool_where_it_is_asked_to(tmp_path: Path) -> None:
    settings = write(tmp_path, three())
    fixed, tables = load_table(settings, tmp_path), load_splits(settings, tmp_path, Resampling(5, True))

    assert all(sizes(table) == sizes(fixed) for table in tables)
    assert any(set(table.train.texts) & set(fixed.test.texts) for table in tables)
    for table in tables:  # ids count through the files
        ids = np.concatenate([table.train.ids, table.dev.ids, table.test.ids])
        assert sorted(ids.tolist()) == list(range(1, 73))


def test_rows_of_one_text_and_of_one_group_stay_together(tmp_path: Path) -> None:
    lines = [f"text {i % 180}\t{'ab'[i % 2]}\tauthor {i % 45}" for i in range(200)]
    settings = write(tmp_path, {"train.tsv": "\n".join(["text\tlabel\tauthor", *lines])}, group="author")
    for table in load_splits(settings, tmp_path, FIVE):
        for one, other in combinations((table.train, table.dev, table.test), 2):
            assert one.groups is not None and other.groups is not None
            assert not set(one.texts) & set(other.texts)
            assert not set(one.groups.tolist()) & set(other.groups.tolist())


def test_training_texts_are_drawn_anew_from_all_that_is_left(tmp_path: Path) -> None:
    settings = write(tmp_path, ONE, train_size=60)
    tables = load_splits(settings, tmp_path, FIVE)

    assert all(len(table.train) == 60 for table in tables)
    seen = set().union(*(set(table.train.ids.tolist()) for table in tables))
    assert len(seen) > 150
    pool = load_pool(settings, tmp_path, FIVE)
    assert pool.ids.tolist() == list(range(1, 351))
    assert all(
        pool.texts[i - 1] == text for i, text in zip(tables[3].dev.ids, tables[3].dev.texts, strict=True)
    )
