"""Fractions of a two-level factorial: fewer rows, for which some effects are measured together.

A regular fraction is written in bits, 0 for a factor's first level and 1 for its second: the first factors
take every combination, each of the others is the sum, modulo 2, of some of them. Factors whose bits add up
to 0 in every row are a *word* of the defining relation, and the length of the shortest word is the
*resolution* (Box & Hunter, Technometrics 3, 1961, 311-351): III leaves main effects clear of each other, IV
also of interactions of two, V leaves those clear of each other as well.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.int8]  # [rows, factors], 0 or 1
ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 9: "IX", 10: "X"}


@lru_cache
def make_fraction(factors: int, resolution: int) -> Bits:
    """The smallest regular fraction of at least this resolution; of that size, of the highest.

    Returns:
        Bits ``[rows, factors]``, row 0 all zeros, rows in the order of binary numbers. All ``2 ** factors``
        rows where no fraction reaches the resolution.

    Raises:
        RuntimeError: pydoe gave something else than was asked for.
    """
    if factors < 2:
        return np.array([[0], [1]], dtype=np.int8)
    from pydoe import fracfact_by_res  # takes a second to import, all of scipy.stats

    signs = fracfact_by_res(factors, resolution)
    for better in range(resolution + 1, factors + 1):
        larger = fracfact_by_res(factors, better)
        if len(larger) > len(signs):
            break
        signs = larger
    bits = convert_signs(signs)
    check_fraction(bits, factors, resolution)
    bits.setflags(write=False)  # the cache hands out one array
    return bits


def convert_signs(signs: NDArray[np.float64]) -> Bits:
    """Columns of -1 and +1 as bits; signs are turned so that all first levels are one of the rows."""
    bits = (signs != signs[0]).astype(np.int8)
    order = np.lexsort(bits.T[::-1])
    return np.ascontiguousarray(bits[order])


def check_fraction(bits: Bits, factors: int, resolution: int) -> None:
    """Refuse a fraction that is not balanced, lacks the baseline, or has a word that is too short."""
    rows = len(bits)
    balanced = bits.shape == (rows, factors) and (bits.sum(axis=0) * 2 == rows).all()
    distinct = len(np.unique(bits, axis=0)) == rows
    whole = rows == 2**factors
    reached = find_resolution(bits)
    clear = whole if reached is None else reached >= resolution
    if not (balanced and distinct and clear) or bits[0].any():
        measured = f"{rows} rows and resolution {reached}"
        raise RuntimeError(
            f"pydoe's fraction of {factors} factors has {measured}, not resolution {resolution}"
        )


def find_resolution(bits: Bits) -> int | None:
    """Length of the shortest word, found by trying all of them; None for a full factorial."""
    if len(bits) >= 2 ** bits.shape[1]:
        return None
    columns = [int("".join(map(str, column)), 2) for column in bits.T.tolist()]
    everywhere = 2 ** len(bits) - 1  # a sum of 1 in every row makes a word as well
    for length in range(1, len(columns) + 1):
        for word in combinations(columns, length):
            total = 0
            for column in word:
                total ^= column
            if total in (0, everywhere):
                return length
    return None
