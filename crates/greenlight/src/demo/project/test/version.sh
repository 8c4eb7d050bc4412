if [ -n "${VERSION:-}" ]; then
  check "what is tested is what was built" "$VERSION" "1.$(bin/greet --languages | wc -l | tr -d ' ')"
fi
