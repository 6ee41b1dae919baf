// Package runner is one run of another program: its input and its result. How it is
// run is left to a Func, so that tests can stand in for the program; Child runs it as a
// child process.
package runner

import "context"

// Program is one run, as the program sees it.
type Program struct {
	Name      string
	Args, Env []string // secrets are in Env, and named in Args
	Stdin     []byte
	File      []byte // what stands in the place of the argument FilePlace
}

// Result is what a program leaves.
type Result struct {
	Stdout, Stderr []byte
	Exit           int // -1 where a signal ended it
}

// FilePlace is the argument in whose place a Program reads its File: from a pipe,
// so that it never goes to the disk.
const FilePlace = "\x00file"

// Func runs a program to its end.
type Func func(ctx context.Context, p Program) (Result, error)
