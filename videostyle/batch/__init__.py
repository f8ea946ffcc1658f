"""Batches of films on many workers: split at shots, rendered in segments, joined; finished work survives a kill."""
