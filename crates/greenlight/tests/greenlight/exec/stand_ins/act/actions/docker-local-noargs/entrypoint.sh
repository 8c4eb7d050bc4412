#!/bin/sh
# Greets, and tells the job of it: a variable from the argument, an output from the environment.
echo "Hello $1"
echo "SOMEVAR=$1" >> "$GITHUB_ENV"
echo "whoami=$WHOAMI" >> "$GITHUB_OUTPUT"
echo "time=$(date)" >> "$GITHUB_OUTPUT"
test -n "$INPUT_WHO_TO_GREET$(printenv INPUT_WHO-TO-GREET)"
