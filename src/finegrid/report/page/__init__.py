"""The report's page: one file of HTML, in both languages.

Others import `page`.
"""
