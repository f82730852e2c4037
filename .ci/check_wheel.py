"""Checks the metadata of a built wheel: addresses, links of the long description, SBOM. Usage: check_wheel.py WHEEL"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from email.parser import HeaderParser


def faults_of(path: str) -> list[str]:
    """Return what is wrong with a wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()

        def read(suffix: str) -> str:
            return wheel.read(next(name for name in names if name.endswith(suffix))).decode()

        metadata, bill = HeaderParser().parsestr(read(".dist-info/METADATA")), json.loads(read(".spdx.json"))
    faults = []
    labels = {entry.partition(",")[0] for entry in metadata.get_all("Project-URL", [])}
    if missing := {"Documentation", "Source", "Issues", "Changelog"} - labels:
        faults.append(f"no Project-URL for {', '.join(sorted(missing))}")
    targets = re.findall(r"\]\(([^)\s]+)", metadata.get_payload())
    if relative := [target for target in targets if not target.startswith(("https://", "#"))]:
        faults.append(f"relative links in the long description: {', '.join(relative)}")
    needed = {
        re.match(r"[\w.-]+", entry)[0]  # type: ignore[index]
        for entry in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in entry
    }
    if (listed := {package["name"] for package in bill["packages"]}) != needed | {metadata["Name"]}:
        faults.append(f"the SBOM lists {sorted(listed)}, the wheel requires {sorted(needed)}")
    if "shell_ev/py.typed" not in names:
        faults.append("no py.typed")
    return faults


if __name__ == "__main__":
    found = faults_of(sys.argv[1])
    print("\n".join(found) or "the metadata of the wheel is right")
    sys.exit(bool(found))
