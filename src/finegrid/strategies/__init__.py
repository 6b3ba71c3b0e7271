"""One file a strategy: its factors, its card, and what it does at which seam.

Others import `part` (what a factor is) and `seams` (where a strategy may touch a run). The strategies
themselves are named in ``recipe/recipe.py`` and nowhere else.
"""
