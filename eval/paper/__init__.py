"""The paper's whole comparison of merging against mixing, on a family of models given as data."""
