"""One file a strategy: its factors, its card, and what it does at which seam.

Others import `part` (what a factor is), `seams` (where a strategy may touch a run), `criterion` (what a step
minimises) and `scoring` (how a run is scored). The strategies themselves are known to `recipe/recipe.py`
alone.
"""
