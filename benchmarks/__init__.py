"""How fast the library is, as ratios against its peers on the same work in the same run."""
