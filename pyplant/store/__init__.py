"""All that touches the plant directory."""
