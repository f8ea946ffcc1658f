"""Networks: the one that paints, and those that judge."""
