"""The report as files: a page, tables in Markdown, figures.

Others import `write`.
"""
