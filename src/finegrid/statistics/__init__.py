"""Scores as arrays become effects, intervals and decisions: pure functions that know no study and no file.

Others import `outcomes` and `experiment` (what is judged), `effects`, `best`, `ladder`, `many_to_one`,
`costs`, `failures`, `pairs` and `power` (what judges), `posterior` and `recommend` (what to use), `nested`
and `grouped` (texts that are drawn by seed, or belong together), `comparisons`, `contrasts`, `decide`,
`repeats`, `rising` and `variance`.
"""
