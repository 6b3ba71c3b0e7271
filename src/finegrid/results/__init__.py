"""Design, audit and ledger joined: distinct recipes with their runs, and the table of them.

Others import `load`, `results`, `score_scale`, `table` and `imported_table`.
"""
