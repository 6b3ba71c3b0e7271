"""Scores as arrays become effects, intervals and decisions: pure functions that know no study and no file.

Others import `outcomes`, `contrasts`, `effects`, `decide`, `best`, `costs`, `power` and `variance`.
"""
