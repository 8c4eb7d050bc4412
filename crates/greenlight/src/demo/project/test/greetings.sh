check "it greets in English" "Hello, Mona!" "$(bin/greet Mona)"
check "it greets in German" "Hallo, Mona!" "$(bin/greet --in de Mona)"
check "it knows its manners" "2" "$(bin/greet >/dev/null 2>&1; echo $?)"
for language in $(bin/greet --languages); do
  said="$(bin/greet --in "$language" Mona)"
  check "a greeting in $language ends with an exclamation mark" "!" "${said: -1}"
done
