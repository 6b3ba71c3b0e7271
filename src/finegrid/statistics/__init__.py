"""Scores as arrays become effects, intervals and decisions: pure functions that know no study and no file.

Others import `outcomes` and `experiment` (what is judged), `effects`, `best`, `many_to_one`, `costs`
and `power` (what judges), `comparisons`, `contrasts`, `decide` and `variance`.
"""
