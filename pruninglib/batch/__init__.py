"""Many notebooks, on this machine or a cluster."""
