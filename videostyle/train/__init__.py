"""Training: a style network and its style codes from photographs, style images and a loss network."""
