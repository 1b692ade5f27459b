"""Accuracy over time steps on trained networks and real data, beside other converters."""
