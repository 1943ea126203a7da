"""Configuration: the classes that users write, what reactors see of it, and its parameters."""
