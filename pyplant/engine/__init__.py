"""The pure core: what code is, what was computed from it, whether and when to compute."""
