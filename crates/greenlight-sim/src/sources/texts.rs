//! The texts themselves.

/// The workflow that tests, by version; the last one cannot be read.
pub const CI_TEXTS: [&str; 10] = [
    "name: CI
on:
  pull_request:
  push:
    branches: [main, release]
jobs:
  build:
    runs-on: self-hosted
    outputs:
      version: ${{ steps.it.outputs.version }}
    steps:
      - id: it
        run: make
  test:
    needs: build
    runs-on: [self-hosted, linux]
    steps:
      - run: make test VERSION=${{ needs.build.outputs.version }}
",
    "name: CI
on:
  pull_request:
  push:
    branches: [main]
jobs:
  test:
    runs-on: self-hosted
    strategy:
      matrix:
        os: [linux, bsd]
    steps:
      - run: make test
",
    "name: CI
on: [push, pull_request]
concurrency:
  group: ci-${{ github.ref }}
  cancel-in-progress: true
jobs:
  test:
    runs-on: self-hosted
    steps:
      - run: make test
",
    "name: CI
on: [push, pull_request]
jobs:
  test:
    runs-on: self-hosted
    steps:
      - run: make test
",
    "name: CI
on:
  pull_request:
    types: [opened, synchronize, reopened, labeled]
  push:
    branches: [main]
jobs:
  test:
    runs-on: self-hosted
    steps:
      - run: make test
  sum:
    needs: [test]
    if: always()
    runs-on: self-hosted
    steps:
      - run: make sum
",
    "name: CI
on:
  pull_request:
concurrency: one
jobs:
  test:
    runs-on: self-hosted
    steps:
      - run: make test
  never:
    if: github.event_name == 'push'
    runs-on: self-hosted
    steps:
      - run: make never
",
    "name: CI
on:
  pull_request:
  push:
    branches: [main]
jobs:
  test:
    runs-on: self-hosted
    steps:
      - run: make test
  parts:
    needs: test
    uses: ./.github/workflows/parts.yml
    with:
      what: parts
  last:
    needs: parts
    if: needs.parts.outputs.version == '1'
    runs-on: self-hosted
    steps:
      - run: make last
",
    "name: CI
on: [push, pull_request]
jobs:
  test:
    runs-on: self-hosted
    concurrency: Desk
    steps:
      - run: make test
  sum:
    needs: test
    if: always()
    runs-on: self-hosted
    concurrency:
      group: sum-${{ github.event_name }}
      cancel-in-progress: true
    steps:
      - run: make sum
",
    "name: CI
on: [push, pull_request]
concurrency: ci-${{ github.ref }}
jobs:
  test:
    runs-on: self-hosted
    concurrency:
      group: desk
      queue: max
    steps:
      - run: make test
  parts:
    needs: test
    concurrency:
      group: dock
      queue: max
    uses: ./.github/workflows/parts.yml
    with:
      what: parts
  tell:
    needs: parts
    if: always()
    runs-on: self-hosted
    steps:
      - run: make tell
",
    "name: CI
on: pull_request
jobs:
  test:
    needs: nobody
    runs-on: self-hosted
    steps:
      - run: make test
",
];

/// The workflow that hears of pull requests, by the default branch's word.
pub const TRIAGE_TEXT: &str = "name: Triage
on:
  pull_request_target:
    types: [opened, synchronize, labeled]
jobs:
  greet:
    runs-on: self-hosted
    steps:
      - run: make greeting
";

/// The workflow that comes due by the clock.
pub const CLOCK_TEXT: &str = "name: Clock
on:
  schedule:
    - cron: '*/10 * * * *'
    - cron: '25 * * * *'
      timezone: Europe/Berlin
concurrency:
  group: clock
  queue: max
jobs:
  tick:
    runs-on: self-hosted
    steps:
      - run: make tick
";

/// Its lines: each with how often it is due, in minutes, and in which of them first.
pub const CLOCK_LINES: [(&str, i64, i64); 2] = [("*/10 * * * *", 10, 0), ("25 * * * *", 60, 25)];

/// The workflow that deploys.
pub const DEPLOY_TEXT: &str = "name: Deploy
on: deployment
jobs:
  deploy:
    runs-on: self-hosted
    environment:
      name: ${{ github.event.deployment.environment }}
      url: https://example.org
    steps:
      - run: make deploy
";

/// The workflows that jobs call, and that those call: path and text.
pub const CALLED_TEXTS: [(&str, &str); 2] = [
    (
        ".github/workflows/parts.yml",
        "name: Parts
on:
  workflow_call:
    inputs:
      what: { type: string, required: true }
    outputs:
      version: { value: '${{ jobs.add.outputs.version }}' }
jobs:
  add:
    runs-on: self-hosted
    outputs:
      version: ${{ steps.it.outputs.version }}
    steps:
      - id: it
        run: make ${{ inputs.what }}
  look:
    needs: add
    uses: ./.github/workflows/look.yml
    with:
      what: ${{ inputs.what }}
",
    ),
    (
        ".github/workflows/look.yml",
        "name: Look
on:
  workflow_call:
    inputs:
      what: { type: string, required: true }
jobs:
  look:
    runs-on: self-hosted
    strategy:
      matrix:
        os: [linux, bsd]
    steps:
      - run: make look WHAT=${{ inputs.what }}
",
    ),
];
