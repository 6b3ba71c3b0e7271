"""How a study at work is told from Python: not at all, on stderr, or to a function of the user's."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console

from finegrid.running.progress.show import ProgressConsole, Show
from finegrid.running.progress.study_progress import StudyProgress
from finegrid.running.progress.watcher import Watcher
from finegrid.spelling import Lang, Telling, parse_lang

SECONDS_APART = 0.5  # of what is told while steps go by


@dataclass(frozen=True)
class Progress:
    """A study at one moment."""

    doing: str  # the last that was said, such as "auditing: ..."
    runs: int  # that this call trains; 0 before that is known
    ended: int
    share: float  # of the work, 0 to 1
    seconds: float  # since training began; before that, since the last thing was said
    seconds_left: float | None

    @classmethod
    def of(cls, known: StudyProgress) -> Progress:
        now = time.monotonic()
        told = known.as_json(now)
        return cls(
            known.doing, known.to_train, known.ended, told["share"], told["seconds"], told["seconds_left"]
        )


Listen: TypeAlias = Callable[[Progress], object]


@dataclass
class Listener:
    """Keeps what is said, and tells it where that was asked for. Call it for the context of a command.

    Attributes:
        progress: False: tell nothing. True: on stderr, as the command line does. A function: is given a
            `Progress` whenever something is said, a run has ended, or half a second of training has gone.
        said: What was said so far, in English, as all values are. On stderr it is in the user's language.
    """

    progress: bool | Listen = False
    said: list[str] = field(default_factory=list)
    _last: float = 0.0

    @contextmanager
    def __call__(self, score: str, folder: Path) -> Iterator[Watcher]:
        quiet = None if self.progress is True else Console(file=io.StringIO(), quiet=True)
        show = Show(score, folder, quiet, self.lang)

        def then_tell(act: Callable[..., None], at_most: float = 0.0) -> Callable[..., None]:
            def acted(*about: Any) -> None:
                act(*about)
                self._tell(show.progress, at_most)

            return acted

        with show as watcher:

            def say(telling: Telling) -> None:
                self.said += telling("en")
                watcher.said(telling)

            yield replace(
                watcher,
                said=then_tell(say),
                planned=then_tell(watcher.planned),
                stepped=then_tell(watcher.stepped, SECONDS_APART),
                recorded=then_tell(watcher.recorded),
                finished=then_tell(watcher.finished),
            )

    @property
    def lang(self) -> Lang:
        """Of what stands on stderr, as on the command line: that of the environment."""
        return parse_lang(None)

    def say(self, telling: Telling) -> None:
        """What is said between two stretches of training, such as what a screen has decided."""
        self.said += telling("en")
        for line in telling(self.lang) if self.progress is True else ():
            ProgressConsole().print(line, highlight=False, markup=False, soft_wrap=True)

    def _tell(self, known: StudyProgress, at_most: float) -> None:
        now = time.monotonic()
        if callable(self.progress) and now - self._last >= at_most:
            self._last = now
            self.progress(Progress.of(known))
