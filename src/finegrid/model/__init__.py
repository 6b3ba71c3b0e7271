"""A checkpoint becomes a classifier: encoder, pooling and head, with dropout from named streams.

Others import `classifier`, `load`, `tier_proof`, `padded` and `device`; what changes or stacks single layers
also `anatomy`, `engine`, `encoder`, `dropout`, `mixing` and `stacked`; what trains, hashes or keeps a table
of words also `rows`; what moves embedded words also `shift` and `draws`; what adds to weights, or keeps the
sum, also `low_rank`. What an engine is made of (layers of ours, or transformers' modules) is nobody else's.
"""
