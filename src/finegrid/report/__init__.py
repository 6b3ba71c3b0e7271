"""The report as files: a page, tables in Markdown, figures.

Others import `write` and `model_card` (what a kept model's card says of its study).
"""
