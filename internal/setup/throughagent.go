package setup

import (
	"context"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// clientModule is p11-kit's module that passes everything on to an agent.
const clientModule = "p11-kit-client.so"

// socket is where a running agent of cardctl listens; empty if there is none.
func (o *Options) socket(door string) string {
	path := filepath.Join(o.Sockets, door)
	if _, err := os.Stat(path); o.Sockets == "" || err != nil {
		return ""
	}
	return path
}

// sameUser refuses to set up a program of somebody else for the agent of this user.
func (o *Options) sameUser() error {
	if o.User == "" {
		return nil
	}
	return problem.New(problem.Usage, "an agent serves only the user who started it").Advise(advice.Repeat().Without(advice.User))
}

// loadClient has the program load the module that reaches the agent.
func (o *Options) loadClient() (err error) {
	if err := o.sameUser(); err != nil {
		return err
	}
	if o.Module, err = p11.DefaultPlaces().Locate(clientModule); err != nil {
		return err
	}
	if o.socket("p11") == "" {
		return problem.New(problem.NotFound, "no agent is running").
			Because("Nothing listens on %s.", filepath.Join(o.Sockets, "p11")).Advise(advice.Do(advice.StartAgent))
	}
	return nil
}

// agentNotes are what a person has to know of a program that uses the agent.
func (j *job) agentNotes() []string {
	if !j.Agent {
		return nil
	}
	return []string{"The agent asks for the PIN. It has to run when " + j.target.name + " uses the key."}
}

// sendPIN gives a program the PIN of the key, or no PIN if the agent has it.
func (j *job) sendPIN(ctx context.Context, use func(context.Context, *secret.Bytes) error) error {
	if !j.Agent {
		return j.key.SendPIN(ctx, use)
	}
	if err := j.key.Leave(); err != nil {
		return err
	}
	return use(ctx, nil)
}
