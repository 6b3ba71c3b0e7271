"""Finds texts of two splits that are one text to the model: equal token numbers, whole or after the cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from finegrid.data.alike import Ints, fold_rows, number_equal
from finegrid.data.census import format_warning
from finegrid.data.findings import quote
from finegrid.data.leaks import find_shared
from finegrid.data.tokens import Keep, TokenisedSplit, count_front, cut
from finegrid.spelling import count_noun

Texts = Sequence[tuple[str, ...]]
Key = tuple[bytes, ...]


def find_token_twins(
    tokens: Mapping[str, TokenisedSplit],
    texts: Mapping[str, Texts],
    max_length: int,
    keep: Keep = "head",
) -> list[str]:
    """A warning for each pair of splits and each kind.

    What `find_warnings` says of the texts themselves, equal or equal but for case and blanks, is not said
    again.

    Args:
        tokens: by split, the one that trains first.
        texts: the texts of the same rows.
        max_length: at which texts are cut, special tokens counted.
        keep: which of their tokens stay.
    """
    whole, _ = number_equal({part: _list_keys(split, None, keep) for part, split in tokens.items()})
    kept, _ = number_equal({part: _list_keys(split, max_length, keep) for part, split in tokens.items()})
    warnings: list[str] = []
    for earlier, later in combinations(tokens, 2):
        same = find_shared(whole, earlier, later)
        once_cut = np.where(same < 0, find_shared(kept, earlier, later), -1)
        for first, numbers, how in (
            (same, whole, f"with the same tokens as one of {earlier}"),
            (
                once_cut,
                kept,
                f"with the same tokens as one of {earlier} once cut at model.max_length = {max_length}",
            ),
        ):
            rows = _leave_out_told(first, numbers, texts, earlier, later)
            if rows:
                pairs = ((row, int(first[row])) for row in rows)
                what = f"{later}: {count_noun(len(rows), 'text')} {how}"
                warnings.append(
                    format_warning(
                        what,
                        (
                            f"{_quote(texts[later], row)} is {_quote(texts[earlier], there)}"
                            for row, there in pairs
                        ),
                    )
                )
    return warnings


def _list_keys(split: TokenisedSplit, max_length: int | None, keep: Keep) -> Iterator[Key]:
    """For each text, or pair, its token numbers; cut, where there is a length."""
    begins, ends = split.bounds[:-1].reshape(-1, split.parts), split.bounds[1:].reshape(-1, split.parts)
    lengths = ends - begins
    if max_length is not None:
        lengths = cut(lengths, max_length - split.template.specials)
    fronts = count_front(lengths, keep)
    stretches = (begins, begins + fronts, ends - lengths + fronts, ends)
    for each in zip(*(edges.tolist() for edges in stretches), strict=True):
        yield tuple(
            [
                split.tokens[a:b].tobytes() + split.tokens[c:d].tobytes()
                for a, b, c, d in zip(*each, strict=True)
            ]
        )


def _leave_out_told(
    first: Ints, numbers: Mapping[str, Ints], texts: Mapping[str, Texts], earlier: str, later: str
) -> list[int]:
    """The rows that have a first one in earlier, but for those whose folded text is there as well."""
    rows = np.flatnonzero(first >= 0).tolist()
    if not rows:
        return []
    there = np.flatnonzero(np.isin(numbers[earlier], numbers[later][rows])).tolist()
    known = set(fold_rows([texts[earlier][row] for row in there]))
    folded = fold_rows([texts[later][row] for row in rows])
    return [row for row, text in zip(rows, folded, strict=True) if text not in known]


def _quote(texts: Texts, row: int) -> str:
    return " / ".join(quote(piece) for piece in texts[row])
