"""Reads the user's files, reports every problem in them, and makes a checked table and its tokens.

Others import `table` (checked texts and labels), `tokens` (the same as numbers), `settings` (the
``[data]`` table), `resample` (how a pool is split for every seed), `unlabelled` (texts to label), and what
reads and sniffs single files: `read`, `sniff`, `cells`, `columns`, `delimited`, `encoding`, `markdown`,
`findings`.
"""
