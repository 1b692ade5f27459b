"""Evaluation of the networks that spikec reads and writes."""
