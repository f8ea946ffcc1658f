"""Networks: the style network, and the loss networks that it is trained with."""
