"""Painting by optimisation, for those who can wait: stills, and keyframes that the motion carries through a film.

The method of Gatys, Ecker and Bethge 2016: no network is trained, the pixels themselves are changed until a perceptual
network finds the painting's Gram matrices and the picture's content in them. `videostyle paint` and
`videostyle keyframes` are its commands.
"""
