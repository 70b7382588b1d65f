"""What flows on tables of numbers share: rows, their split, metrics, ONNX files, models."""
