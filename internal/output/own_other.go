//go:build !unix

package output

import "os"

// Own is standard output.
func Own() *os.File { return os.Stdout }
