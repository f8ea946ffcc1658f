"""HTTP service: pictures painted while the client waits, films in the background by workers that can be killed."""
