"""Browser pages: a few seconds of a film stylized, side by side, before hours are spent on all of it.

Modules that need Gradio import it when they are called: the extra is optional, and slow to import.
"""
