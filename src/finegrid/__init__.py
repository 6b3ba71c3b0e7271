"""finegrid: which BERT fine-tuning strategies are worth it on your data, and what do they cost?"""

__version__ = "0.1.0"
