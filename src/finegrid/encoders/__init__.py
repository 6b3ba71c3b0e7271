"""What finegrid knows of encoders without making a model: families, fingerprints, files, weights, tokenisers.

Others import `families`, `size`, `languages`, `poolings`, `files`, and what opens a checkpoint: `config`,
`weights` and `tokenizer`; what runs one, also `tiers` and `hosted`; what keeps one, also `layout`.
"""
