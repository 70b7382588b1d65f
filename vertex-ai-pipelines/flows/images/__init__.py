"""What flows share that learn from images: checks of headers, reading in ONNX, and tables of labels."""
