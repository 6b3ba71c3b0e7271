"""How often the encoding of a short file is found out: by finegrid (chardet) and by charset-normalizer.

    python benchmarks/guessed_encodings.py        # a Markdown table

Files have a header and some lines of a text and a label, drawn from sentences of the language. An answer is
right if it decodes the file to the same characters.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable

from charset_normalizer import from_bytes

from finegrid.data.encoding import CODECS, detect
from finegrid.study.demo import HEADLINES

LINES = (1, 2, 4, 10, 40)
RUSSIAN = (
    "Этот фильм мне очень понравился",
    "Ужасное обслуживание в ресторане",
    "Хороший товар",
    "Не советую",
)
JAPANESE = (
    "この映画はとても面白かったです",
    "サービスが悪くて残念でした",
    "商品は良いですが配送が遅い",
    "また買いたい",
)
SENTENCES: dict[str, tuple[str, ...]] = {
    "big5": (
        "這部電影真的非常好看",
        "服務態度很差，不推薦",
        "商品品質不錯但是出貨太慢",
        "台北捷運今天發生誤點事故",
    ),
    "cp949": (
        "이 영화 정말 재미있게 봤습니다",
        "서비스가 너무 나빴어요",
        "상품은 좋은데 배송이 느려요",
        "다시 사고 싶습니다",
    ),
    "shift_jis": JAPANESE,
    "euc-jp": JAPANESE,
    "koi8-r": RUSSIAN,
    "windows-1250": (
        "Film był świetny",
        "Zła obsługa, długo czekałem",
        "Polecam każdemu",
        "Kupię gdzie indziej, źle",
    ),
    "windows-1251": RUSSIAN,
    "windows-1252": (
        "Das Essen war überhaupt nicht gut",
        "Größe passt",
        "Ce film était très intéressant",
        "Très déçu",
    ),
    "windows-1253": (
        "Η ταινία ήταν πολύ καλή",
        "Η εξυπηρέτηση ήταν άθλια",
        "Το προϊόν είναι καλό",
        "Θα το αγοράσω",
    ),
    "windows-1254": (
        "Bu film çok güzeldi, öneririm",
        "Hizmet berbattı",
        "Ürün iyi ama kargo yavaş",
        "Şüphesiz alacağım",
    ),
    "windows-1255": ("הסרט היה ממש טוב", "השירות היה גרוע", "המוצר טוב אבל המשלוח איטי", "אקנה שוב"),
    "windows-1256": (
        "كان الفيلم رائعا جدا",
        "الخدمة كانت سيئة",
        "المنتج جيد لكن التوصيل بطيء",
        "سأشتري مرة أخرى",
    ),
    "windows-874": ("หนังเรื่องนี้สนุกมาก", "บริการแย่มาก", "สินค้าดีแต่ส่งช้า", "จะซื้ออีกครั้ง"),
}


def ask_finegrid(raw: bytes) -> str | None:
    encoding = detect([line for line in raw.split(b"\n") if not line.isascii()])
    return None if encoding is None else CODECS[encoding][0]


def ask_charset_normalizer(raw: bytes) -> str | None:
    best = from_bytes(raw).best()
    return None if best is None else best.encoding


def count_right(ask: Callable[[bytes], str | None], files: list[tuple[str, bytes]]) -> tuple[int, int]:
    """How many answers are right, and how many are wrong; the rest say that they cannot tell."""
    right = wrong = 0
    for text, raw in files:
        codec = ask(raw)
        if codec is not None and raw.decode(codec, "replace") == text:
            right += 1
        else:
            wrong += codec is not None
    return right, wrong


def draw_files(encoding: str, lines: int, count: int) -> list[tuple[str, bytes]]:
    chance = random.Random(f"{encoding}/{lines}")
    codec = CODECS[encoding][0]  # type: ignore[index]
    if encoding == "gb18030":
        rows = (HEADLINES / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
        sentences = tuple(row.split("\t")[0] for row in rows)
    else:
        sentences = SENTENCES[encoding]
    files = []
    for _ in range(count):
        text = "text,label\n" + "".join(
            f"{chance.choice(sentences)},{chance.randrange(3)}\n" for _ in range(lines)
        )
        raw = text.encode(codec, "ignore")
        files.append((raw.decode(codec), raw))
    return [(text, raw) for text, raw in files if not raw.isascii()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=40, help="of each encoding and size")
    options = parser.parse_args()
    print(
        "| encoding | finegrid, files of "
        + ", ".join(map(str, LINES))
        + " lines | wrong | charset-normalizer | wrong |"
    )
    print("| --- | --- | --- | --- | --- |")
    for encoding in ("gb18030", *SENTENCES):
        drawn = [draw_files(encoding, lines, options.files) for lines in LINES]
        cells = [encoding]
        for ask in (ask_finegrid, ask_charset_normalizer):
            found = [count_right(ask, files) for files in drawn]
            shares = [
                f"{100 * right / len(files):.0f}" for (right, _), files in zip(found, drawn, strict=True)
            ]
            cells += [", ".join(shares) + " %", str(sum(wrong for _, wrong in found))]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
