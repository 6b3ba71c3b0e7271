"""Nodes of a Ray cluster as the place where workers work. Ray is an extra, imported only when asked for.

Others import `where`.
"""
