"""Writes some rows of a file of the user's, all columns of them, to a new file of the same format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from finegrid.data.columns import find_columns, number_columns
from finegrid.data.content import PACKED_ENDINGS, find_format, read_content
from finegrid.data.delimited import join_cells, read_lines
from finegrid.data.encoding import decode
from finegrid.data.findings import FileFindings
from finegrid.data.header import strip_row
from finegrid.data.settings import DataSettings, Format, resolve_separator
from finegrid.refusals import saving

Labels = Mapping[int, str | None]  # of rows by their place; None: as it is


def write_rows(source: Path, target: Path, settings: DataSettings, kept: Labels) -> dict[int, str]:
    """Write the kept rows in their order, as UTF-8, CSV and TSV quoted as in RFC 4180 and with their header.

    Args:
        source: a file that `read_rows` has read.
        target: the file to write.
        settings: how the source is read.
        kept: the rows to write, with another label where there is one.

    Returns:
        What is not written: each row as a line, by its place.
    """
    findings = FileFindings(source.name)
    kind = find_format(source, findings) if settings.format == "auto" else settings.format
    if kind == "parquet":
        from finegrid.data.parquet import write_kept_rows  # pyarrow is slow to import, and few need it

        write_kept_rows(source, target, settings.columns, kept)
        return {}
    raw = read_content(source, findings)
    decoded = None if raw is None else decode(raw, settings.encoding, findings)
    assert kind is not None and decoded is not None, "the file has been read before"
    left: dict[int, str] = {}
    rewrite = _rewrite_objects if kind == "jsonl" else _rewrite_lines
    with saving(target) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{line}\n" for line in rewrite(decoded.text, kind, settings, kept, left))
    return left


def name_target(source: Path) -> str:
    """The name of a file without the ending of what packed it."""
    return source.stem if source.suffix.lower() in PACKED_ENDINGS else source.name


def _rewrite_lines(
    text: str, kind: Format, settings: DataSettings, kept: Labels, left: dict[int, str]
) -> Iterator[str]:
    separator = resolve_separator(kind, settings.separator)
    lines = read_lines(text, separator, settings.quoting, FileFindings(""))
    header = lines[0][1] if settings.header else []
    wide = next(fields for number, fields in lines if number in kept) if kept else []
    label = _find_label(settings, header, len(wide))
    if settings.header:
        yield join_cells(header, separator)
    for number, fields in lines[settings.header :]:
        if number not in kept:
            left[number] = separator.join(fields)
            continue
        spelling = kept[number]
        cells = fields if spelling is None else [*fields[:label], spelling, *fields[label + 1 :]]
        yield join_cells(cells, separator)


def _find_label(settings: DataSettings, header: list[str], width: int) -> int:
    findings = FileFindings("")
    if settings.header:
        columns = find_columns([settings.label], strip_row(header), findings)
    else:
        columns = number_columns([settings.label], width, findings)
    return -1 if columns is None else columns[0]


def _rewrite_objects(
    text: str, kind: Format, settings: DataSettings, kept: Labels, left: dict[int, str]
) -> Iterator[str]:
    """Lines as they are, but for labels that change."""
    for number, line in enumerate(text.rstrip().split("\n" if "\n" in text else "\r"), start=1):
        if number not in kept:
            left[number] = line
        elif (spelling := kept[number]) is None:
            yield line.strip()
        else:
            yield json.dumps({**json.loads(line), str(settings.label): spelling}, ensure_ascii=False)
