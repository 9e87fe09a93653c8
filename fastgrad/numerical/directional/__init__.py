"""Derivatives along random directions: their signs, how moves are carried, what is measured. Judged by judging.directional."""
