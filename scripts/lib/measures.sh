# shellcheck shell=bash disable=SC2034 # for the scripts that run test/bench
# The tests of test/bench that measure processes run in a process of their own: a child
# counts the memory of its parent, which others let grow.

readonly OF_A_PROCESS='^(TestStartUp|TestMemory)$' # with more readers
readonly OF_FILES='^TestHostileFiles$'
readonly OF_OTHERS="$OF_A_PROCESS|$OF_FILES" # to skip
