"""Make the embedded data set from its ten source files, one per class: 1,500 / 500 / 1,000 texts.

    python scripts/split_headlines.py SOURCE_FOLDER

Stratified and seeded, by the code that splits a user's file. Run once; the result is in the package.
"""

import csv
import sys
import tempfile
from pathlib import Path

from finegrid.data.settings import DataSettings
from finegrid.data.table import load_table

TARGET = Path(__file__).parent.parent / "src" / "finegrid" / "assets" / "headlines"


def main(source: Path) -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in sorted(source.glob("*.tsv")))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "all.tsv").write_text(texts, encoding="utf-8")
        settings = DataSettings(
            train=Path("all.tsv"), text=1, label=2, header=False, dev_share=500 / 3000, test_share=1000 / 3000
        )
        table = load_table(settings, Path(folder))
    for name in ("train", "dev", "test"):
        split = getattr(table, name)
        with (TARGET / f"{name}.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(["text", "label"])
            writer.writerows(
                (*text, table.labels[k]) for text, k in zip(split.texts, split.labels, strict=True)
            )
        print(name, len(split.texts))
    print(*table.warnings, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
