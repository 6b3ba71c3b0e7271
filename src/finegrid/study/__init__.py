"""A study before training: ``study.toml``, its design, and every file of its folder.

Others import `load`, `study`, `settings`, the files (`folder`, `ledger`, `audit_file`, `predictions`), and
the designs.
"""
