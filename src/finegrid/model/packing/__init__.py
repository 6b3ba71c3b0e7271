"""Texts side by side in one flat array: batches as they come, and batches of fixed shape for graphs.

Others import `batches` and `fixed`.
"""
