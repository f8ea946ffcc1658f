"""Many films on many workers: split at shots, painted piece by piece, joined; what is done survives a kill."""
