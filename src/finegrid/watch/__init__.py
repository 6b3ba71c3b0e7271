"""A study's report in the browser, kept up to date while the study runs. It only reads.

Others import `app`, `serve`, `view` and `words`.
"""
