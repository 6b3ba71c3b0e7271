"""finegrid: which BERT fine-tuning strategies are worth it on your data, and what do they cost?"""

from pathlib import Path

__version__ = "0.1.0"
ASSETS = Path(__file__).parent / "assets"  # what comes with the package: data, pages, templates
