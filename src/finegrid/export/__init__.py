"""Studies in other tools: CSV, Parquet, TensorBoard, MLflow.

Others import `export`.
"""
