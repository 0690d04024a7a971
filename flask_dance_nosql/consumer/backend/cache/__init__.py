"""Documents kept at hand."""
