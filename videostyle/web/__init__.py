"""A page in the browser: a few seconds of a film painted, side by side, before hours are spent on all of it.

What needs Gradio imports it when it is called: the extra is optional, and slow to import.
"""
