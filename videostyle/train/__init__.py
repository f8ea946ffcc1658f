"""Training: photographs, paintings and a loss network in, a network and its style codes out."""
