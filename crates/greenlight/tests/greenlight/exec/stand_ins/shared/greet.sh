#!/bin/sh
# Greets, and tells the job of it: a variable from the argument, an output from the environment.
echo "Hello $1"
echo "SOMEVAR=$1" >> "$GITHUB_ENV"
echo "whoami=$WHOAMI" >> "$GITHUB_OUTPUT"
echo "time=$(date)" >> "$GITHUB_OUTPUT"
# A shell forgets names that are none of its own.
tr '\0' '\n' < /proc/$$/environ | grep -q "^INPUT_WHO-TO-GREET="
