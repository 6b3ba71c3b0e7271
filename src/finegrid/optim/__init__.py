"""The second half of a step: what a gradient does to a weight.

Others import `updater` (parameter groups, and what an update rule is) and `adamw` (the rule in use).
"""
