"""Cuts the part that Greenlight and its emulator touch out of GitHub's OpenAPI description.

`openapi.py FOLDER_WITH_TARBALLS`. The whole description has 13 MB; the tests need the paths below,
what is reachable from them, and no examples.
"""

import pathlib
import re
import sys

import packages

VERSION = "23.0.2"
SOURCE = "generated/api.github.com.json"
TARGET = pathlib.Path(__file__).parent.parent / "openapi" / "github.json.zst"

REPO = "/repos/{owner}/{repo}"
# Each is a regular expression over a whole path, with the placeholders as GitHub writes them.
PATHS = [
    r"/",
    r"/(meta|rate_limit|versions|zen)",
    r"/app",
    r"/app-manifests/\{code\}/conversions",
    r"/app/hook/(config|deliveries.*)",
    r"/app/installations.*",
    r"/apps/\{app_slug\}",
    r"/installation/(repositories|token)",
    r"(/orgs/\{org\}|/users/\{username\}|REPO)/installation",
    r"/orgs/\{org\}",
    r"/orgs/\{org\}/(repos|members.*|memberships/.*|hooks.*|rulesets|teams)",
    r"/orgs/\{org\}/installations",
    r"/orgs/\{org\}/teams/\{team_slug\}(/(members|memberships/.*|repos.*))?",
    r"/user",
    r"/user/(repos|orgs|teams|installations.*|memberships/orgs.*|repository_invitations.*)",
    r"/users",
    r"/users/\{username\}(/(repos|orgs))?",
    r"/repositories",
    r"REPO",
    r"REPO/activity",
    r"REPO/actions/permissions(/.*)?",
    r"REPO/actions/runs(/\{run_id\}(/(attempts/\{attempt_number\}(/jobs)?|jobs))?)?",
    r"REPO/actions/workflows(/\{workflow_id\}(/runs)?)?",
    r"REPO/branches(/\{branch\}(/protection.*|/rename)?)?",
    r"REPO/(check-runs|check-suites).*",
    r"REPO/collaborators.*",
    r"REPO/comments.*",
    r"REPO/commits.*",
    r"REPO/compare/.*",
    r"REPO/contents/.*",
    r"REPO/contributors",
    r"REPO/deployments.*",
    r"REPO/dispatches",
    r"REPO/environments(/\{environment_name\}(/deployment.*)?)?",
    r"REPO/forks",
    r"REPO/git/.*",
    r"REPO/hooks.*",
    r"REPO/issues",
    r"REPO/issues/comments.*",
    r"REPO/issues/\{issue_number\}(/(assignees|comments|events|labels|lock|reactions).*)?",
    r"REPO/keys.*",
    r"REPO/labels.*",
    r"REPO/(languages|merge-upstream|merges|readme|releases|tags|teams|topics)",
    r"REPO/invitations.*",
    r"REPO/pulls",
    r"REPO/pulls/comments.*",
    r"REPO/pulls/\{pull_number\}(/(comments|commits|files|merge|requested_reviewers|reviews|update-branch).*)?",
    r"REPO/rules/branches/\{branch\}",
    r"REPO/rulesets(/\{ruleset_id\})?",
    r"REPO/statuses/\{sha\}",
    r"REPO/(tarball|zipball)/\{ref\}",
]
# Matched by a pattern above, and nothing that either of the two has to do with.
LEFT_OUT = re.compile(r"/(merge-async|codespaces|attestations|copilot|blocked|pin)\b")
WANTED = re.compile("|".join(f"(?:{p.replace('/REPO', 'REPO').replace('REPO', re.escape(REPO))})" for p in PATHS))


def without_examples(node, names=False):
    """Returns `node` without examples; the keys of a node full of `names` are not keywords."""
    if isinstance(node, list):
        return [without_examples(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, item in node.items():
        if not names and key in ("example", "examples", "x-github", "x-octokit", "externalDocs", "tags"):
            continue
        if not names and key in ("enum", "default", "required"):
            kept[key] = item
            continue
        kept[key] = without_examples(item, names=not names and key in ("properties", "patternProperties"))
    return kept


def references(node):
    """Yields every reference below `node`."""
    if isinstance(node, dict):
        for key, item in node.items():
            if key == "$ref" and isinstance(item, str):
                yield item
            else:
                yield from references(item)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def reachable(description, paths):
    """Returns the components that `paths` refer to, directly or through others."""
    found, waiting = {}, list(references(paths))
    while waiting:
        reference = waiting.pop()
        kind, name = reference.removeprefix("#/components/").split("/", 1)
        if name in found.setdefault(kind, {}):
            continue
        found[kind][name] = without_examples(description["components"][kind][name])
        waiting.extend(references(found[kind][name]))
    return {kind: dict(sorted(items.items())) for kind, items in sorted(found.items())}


def main(folder):
    description = packages.read_json(folder, "@octokit/openapi", VERSION, SOURCE)
    wanted = [path for path in description["paths"] if WANTED.fullmatch(path) and not LEFT_OUT.search(path)]
    paths = {path: without_examples(description["paths"][path]) for path in wanted}
    subset = {
        "openapi": description["openapi"],
        "info": {key: description["info"][key] for key in ("title", "version", "license")},
        "servers": description["servers"],
        "paths": paths,
        "components": reachable(description, paths),
    }
    operations = sum(len([m for m in item if m in ("get", "put", "post", "patch", "delete")]) for item in paths.values())
    print(f"{len(paths)} paths, {operations} operations,", {k: len(v) for k, v in subset["components"].items()})
    if "-v" in sys.argv:
        print("\n".join(wanted))
    packages.write_zstd(TARGET, packages.without_people(subset))


if __name__ == "__main__":
    main(sys.argv[1])
