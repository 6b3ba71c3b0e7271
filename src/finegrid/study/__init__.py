"""A study before training: ``study.toml``, its design, and every file of its folder.

Others import `load`, `study`, `settings`, the files (`ledger`, `audit_file`, `predictions`, `folder`), and
the designs.
"""
