"""A recipe: every factor of one run, its identity, and the cards that explain it.

Others import `recipe`, `identity`, `catalogue` and `card`.
"""
