"""Models are kept, loaded again, and label texts that no study has seen.

Others import `fit`, `keep`, `onnx_file`, `push`, `predict`, `given`, `labelled_file` and `teacher`; for texts
that lie in no file `fitted` and `apply`.
"""
