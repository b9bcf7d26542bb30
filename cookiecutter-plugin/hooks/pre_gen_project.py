"""Checks the answers before anything is written."""

import re
import sys

name = {{ cookiecutter.name | tojson }}
if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name.startswith("andon"):
    sys.exit(
        f"{name!r} cannot be the plugin's name: take lower-case letters and digits, with single "
        "hyphens between, and leave out andon-"
    )
if not re.fullmatch(r"https?://[^\s\"\\]+", {{ cookiecutter.repository | tojson }}):
    sys.exit("the repository must be an address that begins with https://")
for answer in ({{ cookiecutter.summary | tojson }}, {{ cookiecutter.author | tojson }}):
    if not answer.strip() or re.search(r'["\\\n]', answer):
        sys.exit(f"{answer!r} must be one line, without quotes and backslashes")
