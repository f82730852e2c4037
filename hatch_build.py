"""Build hooks: project URLs and the long description from one setting, and an SPDX SBOM in the wheel."""

from __future__ import annotations

import json
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.utils import get_reproducible_timestamp
from hatchling.metadata.plugin.interface import MetadataHookInterface

#: A link or picture of Markdown with a relative target: ``](docs/charge.md#x)``.
_RELATIVE_LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^\]]*)\]"
    r"\((?!https?:|#|mailto:)(?P<path>[^)#]+)(?P<part>#[^)]*)?\)"
)


def urls(repository: str, documentation: str) -> dict[str, str]:
    """Return the `[project.urls]` of a repository and its site."""
    return {
        "Documentation": documentation,
        "Source": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
    }


def with_absolute_links(text: str, repository: str, documentation: str, root: Path) -> str:
    """Return README with links that work on any page: pages of the site on the site, other files in the repository."""

    def absolute(link: re.Match[str]) -> str:
        path, part = link["path"], link["part"] or ""
        if link["picture"]:
            target = f"{repository}/raw/main/{path}"
        elif path.startswith("docs/") and path.endswith(".md"):
            target = f"{documentation}{path.removeprefix('docs/').removesuffix('.md')}.html{part}"
        else:
            kind = "tree" if (root / path).is_dir() else "blob"
            target = f"{repository}/{kind}/main/{path}{part}"
        return f"{link['picture']}[{link['text']}]({target})"

    return _RELATIVE_LINK.sub(absolute, text)


def bill_of_materials(metadata: Any, created: datetime) -> dict[str, Any]:
    """Return the SPDX 2.3 document of a release: the package and what it requires."""
    name, version = metadata.core.raw_name, metadata.version
    repository = metadata.core.urls["Source"]

    def package(package_name: str, wanted: str, licence: str, location: str) -> dict[str, Any]:
        normal = re.sub(r"[-_.]+", "-", package_name).lower()
        return {
            "SPDXID": f"SPDXRef-{normal}",
            "name": package_name,
            "versionInfo": wanted,
            "downloadLocation": location,
            "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": licence,
            "copyrightText": "NOASSERTION",
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": f"pkg:pypi/{normal}" + (f"@{wanted}" if package_name == name else ""),
                }
            ],
        }

    ours = package(name, version, metadata.core.license_expression, repository)
    needed = [
        package(dependency.name, str(dependency.specifier) or "any", "NOASSERTION", "NOASSERTION")
        for dependency in metadata.core.dependencies_complex.values()
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        "documentNamespace": f"{repository}/spdx/{name}-{version}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: hatch_build.py"]},
        "packages": [ours, *needed],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": ours["SPDXID"],
            },
            *(
                {
                    "spdxElementId": ours["SPDXID"],
                    "relationshipType": "DEPENDS_ON",
                    "relatedSpdxElement": other["SPDXID"],
                }
                for other in needed
            ),
        ],
    }


class ProjectMetadata(MetadataHookInterface):
    """Fills in `urls` and `readme`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the fields that depend on the address of the repository."""
        repository, documentation = self.config["repository"], self.config["documentation"]
        root = Path(self.root)
        metadata["urls"] = urls(repository, documentation)
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_absolute_links(text, repository, documentation, root),
        }


class BillOfMaterials(BuildHookInterface[Any]):
    """Puts the SBOM into the wheel, in the folder that PEP 770 names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the SBOM; an editable install has none."""
        if self.target_name != "wheel" or version == "editable":
            return
        created = datetime.fromtimestamp(get_reproducible_timestamp(), UTC)
        self.folder = tempfile.TemporaryDirectory()
        document = Path(self.folder.name) / "shell_ev.spdx.json"
        document.write_text(json.dumps(bill_of_materials(self.metadata, created), indent=1) + "\n", encoding="utf-8")
        build_data["sbom_files"].append(str(document))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the folder of the SBOM."""
        if hasattr(self, "folder"):
            self.folder.cleanup()
