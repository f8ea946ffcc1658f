"""The studio: a page on the service's own API, for this computer or for those who have a token."""
