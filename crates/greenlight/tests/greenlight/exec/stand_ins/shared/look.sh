#!/bin/sh
# Checks what an action in a container sees of its job.
status=0
need() {
    eval "value=\${$1:-}"
    if [ -z "$value" ] || { [ -n "${2:-}" ] && [ "$value" != "$2" ]; }; then
        echo "::error::$1 is $value"
        status=1
    fi
}
for name in GITHUB_ACTION GITHUB_REPOSITORY GITHUB_SHA GITHUB_ENV RUNNER_TEMP RUNNER_TOOL_CACHE; do need $name; done
need GITHUB_ACTIONS true
need GITHUB_EVENT_NAME push
need RUNNER_OS Linux
need GITHUB_WORKSPACE /github/workspace
need HOME /github/home
touch "$GITHUB_WORKSPACE/seen" && rm "$GITHUB_WORKSPACE/seen" || status=1
exit $status
