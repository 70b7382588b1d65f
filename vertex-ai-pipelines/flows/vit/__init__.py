"""An image classifier: a vision transformer that reads PNG and JPEG."""
