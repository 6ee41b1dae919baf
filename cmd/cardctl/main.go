// Command cardctl sets up smart cards from the command line: from a blank card
// to a certificate that works. This package has the flags, the text and JSON
// output, and the exit status. What a command does is left to a workflow.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
)

func main() { os.Exit(mainStatus()) }

// mainStatus lets the card go in order on every way out but SIGKILL. A second
// signal ends the program at once.
func mainStatus() int {
	descriptors := secret.InheritedDescriptors() // before anything else is opened

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)

	// A pipe that nobody reads is an error to report, not the end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	env := newEnv()
	env.Descriptors, env.Out = descriptors, output.Own()
	env.withhold(secret.FilterEnv(env.Environ))
	return run(ctx, env, arguments(os.Args))
}

// asScdaemon is the name under which gpg-agent starts this program.
const asScdaemon = "cardctl-scd"

// arguments are those of the command line. GnuPG's own options for scdaemon mean nothing
// here.
func arguments(words []string) []string {
	if filepath.Base(words[0]) == asScdaemon {
		return []string{"agent", "--stdio", "scd"}
	}
	return words[1:]
}
