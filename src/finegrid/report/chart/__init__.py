"""The figures of a report, as specifications and as files.

Others import `charts`, `files`, `palette` and `style`.
"""
