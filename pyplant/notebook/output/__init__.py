"""What cells show: recorded, kept and shown again."""
