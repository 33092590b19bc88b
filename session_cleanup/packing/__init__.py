"""How a JSON document is packed into a short string, and how it is read again."""
