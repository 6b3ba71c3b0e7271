"""What a layer computes on packed texts, plainly or by Triton's kernels, and where the texts lie meanwhile.

Others import `operations` (which of the two computes here), `layout`, `products`, `counter` and `varlen`.
"""
