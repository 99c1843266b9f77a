"""A recognizer on a protocol: images to scores to figures, with the uncertainty that they have."""
