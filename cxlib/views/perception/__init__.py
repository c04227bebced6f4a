"""How customers feel about each touchpoint, and how far those who answer speak for the others."""
