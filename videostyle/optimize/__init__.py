"""Stylization by optimisation: stills, and keyframes that are propagated through a film along its motion.

The method of Gatys, Ecker and Bethge 2016: no network is trained, the pixels themselves are changed until the loss
network finds the painting's Gram matrices and the picture's content in them. `videostyle paint` and
`videostyle keyframes` are its commands.
"""
