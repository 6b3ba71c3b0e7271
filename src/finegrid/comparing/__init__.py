"""Systems compared by what they predict, wherever it comes from: files of predictions become a verdict.

Others import `files` (from files to the verdict), `compare` (the verdict), `words` and `page` (what is said
of it); for predictions that lie in no file `systems`, `answers` and `paired`.
"""
