"""Models are kept, loaded again, and label texts that no study has seen.

Others import `fit`, `fitted`, `keep`, `onnx_file`, `push`, `predict`, `given`, `labelled_file` and
`teacher`.
"""
