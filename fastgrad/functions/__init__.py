"""Derivatives of any function from numbers to a number, and checks of them. Nothing here knows of networks."""
