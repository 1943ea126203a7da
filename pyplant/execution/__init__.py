"""Running reactors: the loop, and the places where they run."""
