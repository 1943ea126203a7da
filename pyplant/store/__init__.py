"""The store of a plant: everything that reads or writes the plant directory."""
