"""What an image shows."""
