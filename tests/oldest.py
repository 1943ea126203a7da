"""Constraints that hold every dependency at the oldest version that pyproject.toml allows: ``make test-oldest``.

Tools of the tests and of the documentation are free: users do not have them.
"""

import tomllib
from pathlib import Path

EXTRAS = ("sparse", "keras", "tables", "distributed")


def constraints(project):
    """One line for each requirement of users; of a version that names no patch the newest patch is taken."""
    asked = [
        *project["dependencies"],
        *(line for extra in EXTRAS for line in project["optional-dependencies"][extra]),
    ]
    for requirement in asked:
        name, bound, version = requirement.partition(">=")
        assert bound and version.replace(".", "").isdigit(), f"{requirement} has no oldest version"
        yield f"{name}=={version}" + (".*" if version.count(".") < 2 else "")


if __name__ == "__main__":
    text = Path(__file__).parent.with_name("pyproject.toml").read_text(encoding="utf-8")
    print(*constraints(tomllib.loads(text)["project"]), sep="\n")
