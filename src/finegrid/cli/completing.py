"""What a shell offers after Tab: it asks `finegrid`, which asks these."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

Offer = Callable[[str], list[str]]


def one_of(*words: str) -> Offer:
    """Offers some of a few words."""

    def offer(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offer


def offer_presets(incomplete: str) -> list[str]:
    from finegrid.study.presets import PRESETS  # the shell waits: only what this offer needs

    return [name for name in PRESETS if name.startswith(incomplete)]


def offer_strategies(incomplete: str) -> list[str]:
    """Factors, parts, and names of strategies that are one word, in Chinese to who types Chinese."""
    from finegrid.recipe.catalogue import entries, parts
    from finegrid.recipe.recipe import DEFAULTS

    several = (entry.names if incomplete.isascii() else entry.listing.chinese for entry in entries())
    names = [*DEFAULTS, *parts(), *(name for names in several for name in names)]
    return pick(names, incomplete)


def offer_several_strategies(incomplete: str) -> list[str]:
    """The same after the last comma."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in offer_strategies(last)]


def offer_studies(incomplete: str) -> list[str]:
    """Folders of studies. Where there are none, the shell offers files and folders itself."""
    from finegrid.study.folder import StudyFolder

    typed = Path(incomplete)
    above = typed if not incomplete or incomplete.endswith("/") else typed.parent
    try:
        inside = sorted(path for path in above.iterdir() if path.is_dir())
    except OSError:
        return []
    files = ((path, StudyFolder(path)) for path in inside)
    return pick(
        [str(path) for path, of in files if of.settings.is_file() or of.imported.is_file()], incomplete
    )


def pick(names: Iterable[str], incomplete: str) -> list[str]:
    """Each name once, whatever its case; no blanks, at which a shell would divide it."""
    wanted = incomplete.casefold()
    return [name for name in dict.fromkeys(names) if name.casefold().startswith(wanted) and " " not in name]
