"""Lay out the texts that mini-zh is pre-trained on, and those it must not see.

    python scripts/mini_zh_corpus.py NEWS.txt.xz THUCNEWS_FOLDER OUT

Writes ``OUT/news.txt`` (the news file without HTML tags), ``OUT/titles.txt`` (the titles of THUCNews's
training split, without labels) and ``OUT/without.txt`` (titles of its dev and test splits, and every embedded
headline: what ``finegrid pretrain --without`` keeps out).
"""

import csv
import html
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HEADLINES = Path(__file__).parent.parent / "src" / "finegrid" / "assets" / "headlines"
SPLITS = ("train", "dev", "test")


def titles(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield row["text"]


def without_tags(line: str) -> str:
    return html.unescape(re.sub(r"<[^<>]{1,400}>", " ", line)).strip()


def main(news: Path, thucnews: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    unseen = [*titles(thucnews / "dev.tsv"), *titles(thucnews / "test.tsv")]
    unseen += [title for split in SPLITS for title in titles(HEADLINES / f"{split}.tsv")]
    with lzma.open(news, "rt", encoding="utf-8") as file:
        clean = [text for line in file if (text := without_tags(line))]
    for name, lines in (
        ("news", clean),
        ("titles", list(titles(thucnews / "train.tsv"))),
        ("without", unseen),
    ):
        (out / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        print(f"{name}.txt: {len(lines):,} lines")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
