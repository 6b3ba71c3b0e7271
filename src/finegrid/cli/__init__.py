"""The command line: each file parses, calls and prints.

Nothing imports it but ``python -m finegrid``.
"""
