"""The settings of a study's data: the ``[data]`` table of study.toml."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Column = Annotated[str, Field(min_length=1)] | Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Format = Literal["csv", "tsv", "jsonl", "parquet"]
SEPARATORS: dict[Format, Literal[",", "\t"]] = {"csv": ",", "tsv": "\t"}  # that go without saying
Quoting = Literal["rfc4180", "none"]
Separator = Literal[",", "\t", ";", "|"]
SEPARATOR_NAMES: dict[Separator, str] = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
Encoding = Literal[
    "auto",
    "utf-8",
    "utf-16",
    "utf-32",
    "gb18030",
    "big5",
    "shift_jis",
    "euc-jp",
    "cp949",
    "koi8-r",
    "iso-8859-2",
    "iso-8859-15",
    "windows-874",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
]


def resolve_separator(kind: Format, separator: Literal["auto"] | Separator) -> Separator:
    """What stands between columns of CSV or TSV: the separator, or where it is auto, the format's."""
    return SEPARATORS[kind] if separator == "auto" else separator


class DataSettings(BaseModel):
    """Where the texts and labels are. Paths are relative to a folder that is given when loading.

    A column is a name, or a number counted from 1. Two text columns make a text pair.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Annotated[Path, Field(description="file of training texts")]
    dev: Annotated[Path | None, Field(description="file of dev texts; else a share of train")] = None
    test: Annotated[Path | None, Field(description="file of test texts; else a share of train")] = None
    text: Annotated[
        Column | tuple[Column, Column],
        Field(description="column of the texts, by name or number from 1; two make a pair"),
    ] = "text"
    label: Annotated[Column, Field(description="column of the labels, by name or number from 1")] = "label"
    group: Annotated[
        Column | None,
        Field(description="column of what rows may share, such as author or document; drawn splits keep it"),
    ] = None
    header: Annotated[bool, Field(description="whether the first line has names; CSV and TSV only")] = True
    format: Annotated[Literal["auto"] | Format, Field(description="auto: by each file's ending")] = "auto"
    separator: Annotated[
        Literal["auto"] | Separator,
        Field(description="of columns; auto: a comma in CSV, a tab in TSV"),
    ] = "auto"
    quoting: Annotated[
        Quoting,
        Field(description="CSV and TSV only; none: every line is a row, quotes are ordinary text"),
    ] = "rfc4180"
    encoding: Annotated[
        Encoding, Field(description="of text files; auto: UTF-8, else what is detected, with a warning")
    ] = "auto"
    train_size: Annotated[
        Annotated[int, Field(strict=True, ge=1)] | None,
        Field(description="draw so many of the training texts, stratified"),
    ] = None
    dev_share: Annotated[
        Share, Field(description="of the train file's texts, where dev has no file of its own")
    ] = 0.1
    test_share: Annotated[
        Share, Field(description="of the train file's texts, where test has no file of its own")
    ] = 0.2
    split_seed: Annotated[int, Field(strict=True, description="of what is drawn and split")] = 0

    @property
    def columns(self) -> tuple[str | int, ...]:
        """The text column or columns, then the label column."""
        texts = self.text if isinstance(self.text, tuple) else (self.text,)
        return (*texts, self.label)

    @property
    def read_columns(self) -> tuple[str | int, ...]:
        """`columns`, then the group column where there is one: what is read of every file."""
        return self.columns if self.group is None else (*self.columns, self.group)

    @property
    def shares(self) -> dict[str, float]:
        """The parts that must be split off the train file, and how much of it each takes."""
        shares = {"dev": self.dev_share, "test": self.test_share}
        return {part: share for part, share in shares.items() if getattr(self, part) is None}

    @property
    def draws(self) -> bool:
        """Whether rows of the train file are to be drawn."""
        return bool(self.shares) or self.train_size is not None

    @property
    def files(self) -> dict[str, Path]:
        """The parts that have a file of their own; always ``train``."""
        paths = {"train": self.train, "dev": self.dev, "test": self.test}
        return {part: path for part, path in paths.items() if path is not None}

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if sum(self.shares.values()) >= 1:
            raise ValueError("dev_share + test_share is 1 or more, which leaves no texts to train on")
        return self
