"""Puts the files of the chosen kind and licence in their places, and takes the others away."""

import shutil
from pathlib import Path

chosen = Path("_kinds", "{{ cookiecutter.kind }}")
for source, target in (
    (chosen / "src", Path("src", "{{ cookiecutter.__package }}")),
    (chosen / "tests", Path("tests")),
):
    target.mkdir(exist_ok=True)
    for file in sorted(source.iterdir()):
        shutil.move(file, target / file.name)
shutil.move(Path("_licences", "{{ cookiecutter.licence }}"), "LICENSE")
shutil.rmtree("_kinds")
shutil.rmtree("_licences")
