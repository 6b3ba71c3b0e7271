"""Scores as arrays become effects, intervals and decisions: pure functions that know no study and no file.

Others import `outcomes` (arrays), `experiment` (arrays made ready) and what takes it: `effects`, `best` and
`costs`; and `comparisons`, `contrasts`, `decide`, `power` and `variance`.
"""
