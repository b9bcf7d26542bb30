"""How servers of each wire protocol answer, byte by byte."""
