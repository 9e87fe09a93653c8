"""Are the gradients right? Claimed against numerical in units of rounding, the audit, disturbances and blind spots."""
