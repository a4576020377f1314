"""hydrodask itself."""
