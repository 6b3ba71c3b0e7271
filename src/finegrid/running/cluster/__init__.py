"""Nodes of a Ray cluster as the place where workers work. Ray is an extra, imported once somebody asks for it.

Others import `session`.
"""
