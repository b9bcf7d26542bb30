"""Mistakes that a type checker must find; each such line says so."""

from __future__ import annotations

import andon

client = andon.Client()
client.chat("a:b", "hi", max_token=5)  # wrong: no such option
client.chat("a:b", "hi", temperature="hot")  # wrong: not a number
client.chat(5, "hi")  # wrong: no model
length: int = client.chat("a:b", "hi").text  # wrong: a text
andon.Price(input=0.1, output="2")  # wrong: money is exact
print(client.chat("a:b", "hi").no_such_field)  # wrong: no such field
