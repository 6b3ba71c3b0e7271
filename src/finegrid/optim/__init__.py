"""The optimizer's step, with or without all that changes from step to step in tensors.

Others import `adamw`.
"""
