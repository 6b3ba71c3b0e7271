"""Scores as arrays become effects, intervals and decisions: pure functions that know no study and no file.

Others import `outcomes` and `experiment` (what is judged), `effects`, `best`, `costs` and `power` (what
judges), `nested` and `grouped` (texts that are drawn by seed, or belong together), `comparisons`,
`contrasts`, `decide` and `variance`.
"""
