"""A recipe: every factor of one run, its identity, and the cards that explain it.

Others import `recipe`, `identity`, `catalogue` and `card`; of strategies of a user's own `described` (what
they are, as data) and `own_code` (their code, which runs there alone).
"""
