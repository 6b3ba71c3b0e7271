"""What is said of a study's lock while it is being taken, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang, Telling, format_duration
from finegrid.study.lease import Seen

ENGLISH = {
    "watching": "{holder} held this folder, and gave no sign of life for {silent}. If it gives none in the "
    "next {seconds} either, this command takes over",
    "unknown": "a process that nobody can name",
}
CHINESE = {
    "watching": "该文件夹曾由 {holder} 占用，它已有 {silent}没有任何动静。若再过 {seconds}仍无动静，"
    "本命令将接管",
    "unknown": "身份不明的进程",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def tell_watching(seen: Seen, silent: float, seconds: float) -> Telling:
    """Whose lock seems to be left over, and for how long it is looked at before it is taken.

    Args:
        seen: the lease.
        silent: seconds since it was renewed.
        seconds: for which it is looked at.
    """

    def tell(lang: Lang) -> list[str]:
        holder = WORDS[lang]["unknown"]
        if seen.claim is not None:
            holder = f"{seen.claim.holder.host} ({seen.claim.holder.process})"
        waits = {"silent": silent, "seconds": seconds}
        spelled = {name: format_duration(max(0.0, wait), lang) for name, wait in waits.items()}
        return [WORDS[lang]["watching"].format(holder=holder, **spelled)]

    return tell
