"""What the browser pages and the service share: addresses, requests, limits of uploads, messages without paths."""
