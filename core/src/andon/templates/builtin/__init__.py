"""The built-in formats, as plain functions written from their authorities' definitions."""
