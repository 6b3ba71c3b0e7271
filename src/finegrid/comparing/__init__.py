"""Systems compared by what they predict, wherever it comes from: files of predictions become a verdict.

Others import `systems` (what is compared), `answers` (columns of a file), `paired` (all files against gold),
`compare` (the verdict), `words`, `to_json` and `page` (what is said of it).
"""
