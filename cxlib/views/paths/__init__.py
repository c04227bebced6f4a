"""Ways from a touchpoint, or to it, with how they end."""
