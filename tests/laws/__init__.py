"""The laws of the design, tried on random pipelines under random edits."""
