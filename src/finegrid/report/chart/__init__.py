"""The figures of a report, as specifications and as files.

Others import `charts`, `files`, `forest`, `palette` and `style`.
"""
