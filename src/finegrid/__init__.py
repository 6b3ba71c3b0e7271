"""finegrid: which BERT fine-tuning strategies are worth it on your data, and what do they cost?

From Python: `Study`, `compare` and `Classifier`; docs/python.md. What stands in ``__all__`` stays stable.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finegrid.api.classifier import Classifier
    from finegrid.api.comparison import Comparison, compare
    from finegrid.api.plan import Plan, RunStates, RunSummary
    from finegrid.api.progress import Progress
    from finegrid.api.study import Study
    from finegrid.api.table import Table
    from finegrid.api.verdict import Recommendation, Verdict
    from finegrid.errors import InputError, Problem, WorkerBrokeError

__version__ = "0.1.0"
ASSETS = Path(__file__).parent / "assets"  # what comes with the package: data, pages, templates
__all__ = [
    "Classifier",
    "Comparison",
    "InputError",
    "Plan",
    "Problem",
    "Progress",
    "Recommendation",
    "RunStates",
    "RunSummary",
    "Study",
    "Table",
    "Verdict",
    "WorkerBrokeError",
    "__version__",
    "compare",
]
# Where each is. It is imported when it is first asked for (PEP 562): the command line starts at once.
HOMES = {
    "Classifier": "finegrid.api.classifier",
    "Comparison": "finegrid.api.comparison",
    "InputError": "finegrid.errors",
    "Plan": "finegrid.api.plan",
    "Problem": "finegrid.errors",
    "Progress": "finegrid.api.progress",
    "Recommendation": "finegrid.api.verdict",
    "RunStates": "finegrid.api.plan",
    "RunSummary": "finegrid.api.plan",
    "Study": "finegrid.api.study",
    "Table": "finegrid.api.table",
    "Verdict": "finegrid.api.verdict",
    "WorkerBrokeError": "finegrid.errors",
    "compare": "finegrid.api.comparison",
}


if not TYPE_CHECKING:  # to whom a module with this has every name

    def __getattr__(name: str) -> Any:
        if name not in HOMES:
            raise AttributeError(f"module 'finegrid' has no attribute {name!r}")
        value = getattr(import_module(HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
