"""Whether more or less of an imported result is better, and on which scale it is told: by its name."""

from __future__ import annotations

import re

from finegrid.data.findings import FileFindings, quote

# Shares of 0 to 1 or 0 to 100, of which fewer are better.
SHARES = {
    *("error", "errors", "err", "wer", "cer", "eer", "ter", "mer", "hter", "fpr", "fnr", "ece", "brier"),
    *("misclassification", "hamming"),
}
# On a scale of their own.
OPEN = {
    *("loss", "losses", "logloss", "perplexity", "ppl", "rmse", "mse", "mae", "mape", "rmsle", "nll"),
    *("entropy", "crossentropy", "xent", "deviance", "bpc", "bpb", "kl", "divergence"),
}
CHINESE_SHARES, CHINESE_OPEN = ("错误率", "误差率", "字错率", "词错率"), ("损失", "困惑度", "误差", "交叉熵")


def split_name(name: str) -> set[str]:
    """``evalLoss (test)`` as its words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return set(re.findall(r"[^\W\d_]+", spaced.casefold()))


def is_open(name: str) -> bool:
    """Whether a result of this name has a scale of its own, as a loss has."""
    shares = any(part in name for part in CHINESE_SHARES)
    return bool(split_name(name) & OPEN) or (not shares and any(part in name for part in CHINESE_OPEN))


def is_share_of_errors(name: str) -> bool:
    return bool(split_name(name) & SHARES) or any(part in name for part in CHINESE_SHARES)


def take_direction(name: str, lower_is_better: bool | None, findings: FileFindings) -> tuple[bool, bool]:
    """Whether less of a result is better, and whether it is told on a scale of its own.

    A name that sounds like an error or a loss is a problem unless the user says which is better.
    """
    bad = is_open(name) or is_share_of_errors(name)
    if bad and lower_is_better is None:
        what = (
            f"result {quote(name)} sounds like an error or a loss, of which less is better. Expected "
            "--lower-is-better, or --higher-is-better if more of it is better"
        )
        findings.add_problem("result", what)
    lower = bool(lower_is_better)
    return lower, is_open(name) or (lower and not is_share_of_errors(name))
