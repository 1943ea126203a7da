"""What code reads without saying so: files that it opens, folders that it lists, paths that it finds, the environment."""
