"""Taking a study into other tools: tables, TensorBoard, MLflow."""
