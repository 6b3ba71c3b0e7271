"""What finegrid knows of encoders without loading one: families, poolings, fingerprints.

Others import both modules.
"""
