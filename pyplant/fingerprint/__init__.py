"""What code and values are: fingerprints of functions, digests of values."""
