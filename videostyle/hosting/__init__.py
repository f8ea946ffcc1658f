"""Shared by the pages and the service: addresses, requests, limits of uploads, messages without paths."""
