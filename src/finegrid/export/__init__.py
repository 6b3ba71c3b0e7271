"""Studies in other tools: CSV, Parquet, TensorBoard, MLflow.

Others import `export`, and for the same tables in Python `content`, `tables`, `effects`, `frame` and
`parquet_file`.
"""
