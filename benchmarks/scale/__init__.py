"""What growth costs: measured at so many tokens on this machine, and worked out for more."""
