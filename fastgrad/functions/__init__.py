"""Derivatives of any function from numbers to a number, and checks of them; networks are no matter of this package."""
