"""Runs are built and trained: alone, in lockstep, stacked, or as captured steps.

Others import `loaded` (a study in memory), `train` (the loop), `run`, `build` (a recipe's strategies at their
seams), `state`, `whole` (a run's model, to be kept), `evaluate`, `teachers` and `teaching`; what measures a
step also `lockstep`, `stack`, `captured` and `graphs`.
"""
