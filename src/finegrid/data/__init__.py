"""The user's files: what they hold, told problem by problem, up to a checked table and its tokens.

Others import `table` (checked texts and labels), `tokens` (the same as numbers), `settings` (the
``[data]`` table), `unlabelled` (texts to label), and what reads and sniffs single files.
"""
