"""What finegrid knows of encoders without loading one, and so without torch: families, poolings, fingerprints.

Others import both modules.
"""
