"""Models are kept, loaded again, and label texts that no study has seen.

Others import `fit`, `keep`, `predict` and `labelled_file`.
"""
