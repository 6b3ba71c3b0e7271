"""Everything that a report tells, as data: the only source of page, tables and figures.

Others import `facts`.
"""
