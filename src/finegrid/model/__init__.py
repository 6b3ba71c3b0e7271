"""A checkpoint becomes a classifier: encoder, pooling and head, with dropout from named streams.

Others import `classifier`, `load`, `padded` and `device`; what changes or stacks single layers also
`anatomy`, `encoder`, `dropout` and `stacked`.
"""
