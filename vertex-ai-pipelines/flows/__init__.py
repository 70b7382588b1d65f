"""What runs in the image: the steps, one folder a flow, the prediction server."""
