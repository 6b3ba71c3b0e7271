"""Everything that a report tells, as data: the only source of page, tables and figures.

Others import `facts`; for a report of something else than a study also `classes`, `details`, `origin`,
`recipes` and `texts`.
"""
