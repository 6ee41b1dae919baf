package service

import (
	"context"
	"errors"
	"io"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/problem"
)

// control does what a command asks the agent for.
func (s *Service) control(ctx context.Context, conn io.ReadWriter) error {
	err := client.ServeControl(ctx, conn, s.handle)
	if errors.Is(err, client.ErrStop) {
		s.stop()
		<-s.over
		return nil
	}
	return err
}

func (s *Service) handle(ctx context.Context, request client.Request) (*client.Status, error) {
	switch request.Do {
	case client.StatusOf:
		return s.status(), nil
	case client.Lock:
		return nil, s.keeper.Lock(ctx)
	case client.Release:
		return nil, s.keeper.Release(ctx, request.Reader)
	case client.Reread:
		s.keeper.Reread(request.Reader)
		return nil, nil
	case client.Stop:
		return nil, nil
	}
	return nil, problem.New(problem.Usage, "the agent does not know %q", request.Do)
}

func (s *Service) status() *client.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := &client.Status{Clients: s.clients, Cards: []client.Card{}}
	for _, card := range s.keeper.Status() {
		now.Cards = append(now.Cards, client.Card(card))
	}
	return now
}
