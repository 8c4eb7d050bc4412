"""Reads JSON out of npm packages that `npm pack` left in a folder, and writes compressed JSON.

Only Python's standard library and the `zstd` program are needed.
"""

import json
import pathlib
import re
import subprocess
import tarfile

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")
# Addresses that GitHub hands out, and the user part of a clone URL, are nobody's mailbox.
NOBODYS = re.compile(r"@(?:users\.noreply\.)?github\.com$")
STAND_IN = "octocat@github.com"


def read_json(folder, package, version, path):
    """Returns the JSON file `path` of `package` at `version`, from its tarball in `folder`."""
    name = package.lstrip("@").replace("/", "-") + f"-{version}.tgz"
    tarball = pathlib.Path(folder) / name
    if not tarball.is_file():
        raise SystemExit(f"{tarball} is missing: run `npm pack {package}@{version}` in {folder}")
    with tarfile.open(tarball) as archive:
        return json.load(archive.extractfile(f"package/{path}"))


def without_people(value):
    """Returns `value` with people's mail addresses replaced by the octocat's."""
    if isinstance(value, dict):
        return {key: without_people(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_people(item) for item in value]
    if isinstance(value, str):
        return EMAIL.sub(lambda found: found[0] if NOBODYS.search(found[0]) else STAND_IN, value)
    return value


def write_zstd(target, value):
    """Writes `value` as compact JSON, compressed, to `target`; the same value gives the same bytes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    pathlib.Path(target).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["zstd", "-19", "-q", "-f", "-o", str(target)], input=text, check=True)
    print(f"{target}: {len(text)} bytes of JSON")
