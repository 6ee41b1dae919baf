package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAgentReleaseCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "Have the agent let the cards go",
		Long: `Have the agent let the cards go for other programs, until a program needs one
again. Other commands of cardctl do so by themselves. --reader names one card.`,
		Example: "  cardctl agent release",
		Args:    typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAgentRelease(cmd.Context(), env)
		},
	}
}

func runAgentRelease(ctx context.Context, env *session) error {
	reader, err := env.desk().ReaderMeant(ctx)
	if err != nil {
		return err
	}
	_, err = env.askAgent(ctx, client.Request{Do: client.Release, Reader: reader})
	return err
}

// askAgent asks the agent that runs for something.
func (env *session) askAgent(ctx context.Context, request client.Request) (client.Answer, error) {
	socket, err := env.controlSocket()
	if err != nil {
		return client.Answer{}, err
	}
	answer, err := client.Ask(ctx, socket, request)
	if problem.Is(err, problem.NotFound) {
		return answer, problem.New(problem.NotFound, "no agent runs").Advise(advice.Run("cardctl", "agent"))
	}
	return answer, err
}
