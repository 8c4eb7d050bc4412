#!/bin/sh
# The machine's own search path means nothing in here.
echo "Hello $1"
test "$1" = GitHub && command -v sh > /dev/null && test "$HOME" = /github/home
