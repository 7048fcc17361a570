"""Run many notebooks, on this machine or a cluster, and collect their results."""
