"""Which design and how many seeds a given time buys, and what they could decide.

Others import `apply`, `budget`, `words`, `parse` and `price`.
"""
