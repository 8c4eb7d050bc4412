"""Makes payloads from GitHub's description of its webhooks: `webhooks_generated.py FOLDER_WITH_TARBALLS`.

The collected examples stop at an old server version, so the newest events are covered from their
schemas: for every webhook one payload with only what is required, nulls where they are allowed
("minimal"), and one with every property present ("full"). The values are made up but of the right
kind: a sha looks like a sha. With Python's `jsonschema` installed each payload is also validated.
"""

import pathlib
import re
import sys
import zlib

import packages

VERSION = "12.1.0"
SOURCE = "generated/ghes-3.19.json"
TARGET = pathlib.Path(__file__).parent.parent / "webhooks-generated" / "payloads.json.zst"

# Below this depth even a full payload takes only what is required: schemas refer to themselves.
DEPTH_MAX = 12
HOST = "https://ghes.example"

BY_FORMAT = {
    "uri": f"{HOST}/api/v3/octocat",
    "uri-template": f"{HOST}/api/v3/octocat{{/name}}",
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "email": packages.STAND_IN,
}
BY_NAME = {
    "base_ref": "main",
    "branch": "main",
    "clone_url": f"{HOST}/octocat/Hello-World.git",
    "default_branch": "main",
    "full_name": "octocat/Hello-World",
    "git_url": "git://ghes.example/octocat/Hello-World.git",
    "head_branch": "topic",
    "html_url": f"{HOST}/octocat/Hello-World",
    "login": "octocat",
    "master_branch": "main",
    "name": "Hello-World",
    "node_id": "R_kgDOAAAAAQ",
    "ssh_url": "git@ghes.example:octocat/Hello-World.git",
    "title": "Say hello",
}
# GitHub writes `ref` differently per event.
REF_OF_EVENT = {"push": "refs/heads/main", "create": "topic", "delete": "topic"}
SHA_NAME = re.compile(r"^(id|tree_id|sha|before|after|.*_sha|.*commit_id|commit_oid|.*_oid)$")


class Maker:
    """Makes values for the schemas of one description."""

    def __init__(self, description):
        self.schemas = description["components"]["schemas"]
        self.event = ""
        self.full = False

    def payload(self, event, schema, full):
        self.event, self.full = event, full
        return self.value(schema, event, "payload", 0)

    def value(self, schema, path, name, depth):
        if "$ref" in schema:
            return self.value(self.resolved(schema), path, name, depth)
        if "allOf" in schema:
            return self.value(self.merged(schema), path, name, depth)
        if "enum" in schema:
            return self.of_enum(schema)
        for key in ("oneOf", "anyOf"):
            # Beside `properties` an `anyOf` only says more about what is required.
            if key in schema and "properties" not in schema:
                return self.chosen(schema, key, path, name, depth)
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        return self.of_kind(self.kind(kinds), schema, path, name, depth)

    def resolved(self, schema):
        return self.schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema

    def merged(self, schema):
        """Returns one schema that asks for what every part of an `allOf` asks for."""
        whole = {}
        for part in [*schema["allOf"], {key: item for key, item in schema.items() if key != "allOf"}]:
            part = self.resolved(part)
            for key, item in (self.merged(part) if "allOf" in part else part).items():
                whole[key] = self.both(key, whole[key], item) if key in whole else item
        return whole

    def both(self, key, one, other):
        if key == "properties":
            shared = {name: {"allOf": [one[name], other[name]]} for name in one if name in other}
            return {**one, **other, **shared}
        if key == "required":
            return [*one, *(name for name in other if name not in one)]
        if key == "enum":
            return [item for item in one if item in other]
        if key == "type":
            others = other if isinstance(other, list) else [other]
            ones = one if isinstance(one, list) else [one]
            if {"number", "integer"} <= {*ones, *others}:
                return "integer"
            return [kind for kind in ones if kind in others]
        if key == "items":
            return {"allOf": [one, other]}
        return other

    def chosen(self, schema, key, path, name, depth):
        kinds = schema.get("type", [])
        fitting = [option for option in schema[key] if option.get("type", "none") in kinds]
        option = self.resolved(self.choice(fitting or schema[key]))
        full = self.full
        # A full object could fit two options of a `oneOf`, which asks for exactly one.
        self.full = full and not (key == "oneOf" and option.get("required"))
        made = self.value(option, path, name, depth)
        self.full = full
        return made

    def of_enum(self, schema):
        if None in schema["enum"] and not self.full:
            return None
        return next((item for item in schema["enum"] if item is not None), None)

    def choice(self, options):
        nulls = [option for option in options if option.get("type") in ("null", ["null"])]
        if nulls and not self.full:
            return nulls[0]
        return next(option for option in options if option not in nulls)

    def kind(self, kinds):
        if not isinstance(kinds, list):
            return kinds
        others = [kind for kind in kinds if kind != "null"]
        if not others or ("null" in kinds and not self.full):
            return "null"
        return others[0]

    def of_kind(self, kind, schema, path, name, depth):
        if kind == "object":
            return self.object(schema, path, depth)
        if kind == "array":
            wanted = schema.get("minItems", 1 if self.full and depth < DEPTH_MAX else 0)
            made = [self.value(schema["items"], f"{path}/{i}", name, depth + 1) for i in range(wanted)]
            # Where the parts of an `allOf` contradict each other only the empty list is left.
            return [item for item in made if item is not None]
        if kind == "string":
            return self.string(schema, path, name)
        if kind in ("integer", "number"):
            return max(schema.get("minimum", 1), min(schema.get("maximum", 1 << 20), 1 + self.seed(path) % 100_000))
        if kind == "boolean":
            return schema.get("default", self.seed(path) % 2 == 0)
        return None

    def object(self, schema, path, depth):
        properties = schema.get("properties", {})
        everything = self.full and depth < DEPTH_MAX
        names = list(properties) if everything else [n for n in properties if n in schema.get("required", [])]
        made = {name: self.value(properties[name], f"{path}/{name}", name, depth + 1) for name in names}
        for name in schema.get("required", []):
            made.setdefault(name, None)
        rest = schema.get("additionalProperties")
        if everything and isinstance(rest, dict) and not properties:
            made["key"] = self.value(rest, f"{path}/key", "key", depth + 1)
        return made

    def string(self, schema, path, name):
        if name == "ref" and self.event in REF_OF_EVENT:
            made = REF_OF_EVENT[self.event]
        elif SHA_NAME.match(name):
            made = "".join(f"{self.seed(f'{path}{i}'):08x}" for i in range(5))
        elif schema.get("format") in BY_FORMAT:
            made = BY_NAME.get(name, BY_FORMAT[schema["format"]])
        else:
            examples = [item for item in schema.get("examples", []) if isinstance(item, str)]
            made = examples[0].strip('"') if examples else BY_NAME.get(name, name)
        return made[: schema.get("maxLength", len(made))]

    def seed(self, path):
        return zlib.crc32(path.encode())


def cases(description):
    """Yields the cases, with the schema that each belongs to."""
    maker = Maker(description)
    for hook in description["webhooks"].values():
        operation = hook["post"]
        event = operation["operationId"].split("/")[0].replace("-", "_")
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        for size in ("minimal", "full"):
            payload = packages.without_people(maker.payload(event, schema, size == "full"))
            yield schema, {"event": event, "webhook": operation["operationId"], "size": size, "payload": payload}


def validate(description, schema, case):
    """Returns what is wrong with `case`, or nothing."""
    validator = jsonschema.Draft202012Validator({**schema, "components": description["components"]})
    return [f"{case['webhook']} {case['size']}: {e.json_path}: {e.message[:200]}" for e in validator.iter_errors(case["payload"])]


def main(folder):
    description = packages.read_json(folder, "@octokit/openapi-webhooks", VERSION, SOURCE)
    made = list(cases(description))
    if jsonschema:
        wrong = [line for schema, case in made for line in validate(description, schema, case)]
        print("\n".join(wrong) or "each payload is valid")
    else:
        print("not validated: Python's jsonschema is not installed")
    print(f"{len(made)} payloads of {len(description['webhooks'])} webhooks")
    packages.write_zstd(TARGET, [case for _, case in made])


try:
    import jsonschema
except ImportError:
    jsonschema = None

if __name__ == "__main__":
    main(sys.argv[1])
