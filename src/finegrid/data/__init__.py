"""Reads the user's files, reports every problem in them, and makes a checked table and its tokens.

Others import `table` (checked texts and labels), `tokens` (the same as numbers), `token_facts` (what these
are like), `token_twins` (texts that are one to a model), `extra` (training texts that runs have beside the
study's), `settings` (the ``[data]`` table), `resample` (how a pool is split for every seed), `unlabelled`
(texts to label), `row_file` (rows that are read part by part), `probabilities` (what a teacher says of
them), `clean_files` (files without what looks wrong), `alike` (texts but for case and blanks), and what
reads single files and finds out how: `content`,
`cells_of_file`, `sniff` (with `reading_words`, what it took them for, and `reading_phrases`, its two
languages), `cells`, `columns`, `delimited`, `separator`, `encoding`, `markdown`, `parquet`, `findings`.
"""
