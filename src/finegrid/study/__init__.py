"""A study before training: ``study.toml``, its design, and every file of its folder.

Others import `study`, `settings` and what makes them (`load`, `init` with its `init_words`, `drafting`,
`demo`, `presets`, `edit`, `toml`), the designs (`design`, `bundles`, `fraction`, `confounding`, `screen`,
`identity`, `free`), the files (`folder`, `lock`, `ledger`, `record`, `audit_file`, `audited`, `predictions`,
`prediction_file`, `runs_on_file`, `parsing`, `imported`, `leftovers`, `kept_files`, `contents`, what files
of levels hold, `far_data`, which lie elsewhere, and `own_strategies`), what a score needs (`scored_label`),
and what a checkpoint makes of the texts (`opening`).
"""
