"""Gathers the payloads of @octokit/webhooks-examples: `webhooks_examples.py FOLDER_WITH_TARBALLS`."""

import pathlib
import sys

import packages

VERSION = "7.6.1"
TARGET = pathlib.Path(__file__).parent.parent / "webhooks-examples" / "examples.json.zst"


def main(folder):
    events = packages.read_json(folder, "@octokit/webhooks-examples", VERSION, "api.github.com/index.json")
    cases = [
        {"event": event["name"], "payload": packages.without_people(payload)}
        for event in events
        for payload in event["examples"]
    ]
    print(f"{len(cases)} payloads of {len(events)} events")
    packages.write_zstd(TARGET, cases)


if __name__ == "__main__":
    main(sys.argv[1])
