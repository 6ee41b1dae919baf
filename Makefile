# Each target runs the script of its name or the part of ./scripts/test.sh of its name.

.PHONY: list test quick lint build tests judged mutation races nocgo stack windows programs enrolment debian13 coverage bench demo dependencies package versions fuzz pull pictures generate

# The parts of the test run.
list:
	./scripts/test.sh --list

# All parts. CI runs the same.
test:
	./scripts/test.sh

# What to run while you work.
quick:
	./scripts/test.sh quick

lint:
	./scripts/test.sh lint

build:
	./scripts/test.sh build

tests:
	./scripts/test.sh tests

judged:
	./scripts/test.sh judged

mutation:
	./scripts/test.sh mutation

races:
	./scripts/test.sh races

nocgo:
	./scripts/test.sh nocgo

# make stack, or make stack NAME=TestPrompts for some of its tests.
stack:
	./scripts/test.sh stack '$(NAME)'

windows:
	./scripts/test.sh windows

programs:
	./scripts/test.sh programs

enrolment:
	./scripts/test.sh enrolment

# The shell in Debian 13 is ./scripts/debian13.sh.
debian13:
	./scripts/test.sh debian13

coverage:
	./scripts/test.sh tests stack coverage

bench:
	./scripts/bench.sh

# make demo ARGS='--family pkcs15'
demo:
	./scripts/demo.sh $(ARGS)

dependencies:
	./scripts/dependencies.sh

package:
	./scripts/package.sh

# Writes docs/tested.md and a line of README.md.
versions:
	./scripts/test.sh stack debian13 versions

# make fuzz ARGS='10m internal/csr.FuzzParseName'
fuzz:
	./scripts/fuzz.sh $(ARGS)

# make pull ARGS=--swapped
pull:
	./scripts/pull.sh $(ARGS)

# The pictures of the documents, after a change of what commands print.
pictures:
	./scripts/pictures.sh

# Manual pages and the table of exit codes, after a change of help or documents.
generate:
	go generate ./cmd/cardctl
