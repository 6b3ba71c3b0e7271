"""One file a strategy: its factors, its card, and what it does at which seam.

Others import `part` (what a factor is), `seams` (where a strategy may touch a run), and the strategies themselves
only in `recipe/recipe.py`.
"""
