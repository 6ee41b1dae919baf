package service_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/problem"
)

// background starts this program as an agent.
func background(t *testing.T, dir string) error {
	log := func() (string, error) { return filepath.Join(dir, "log", "agent.log"), nil }
	_, err := service.Background(t.Context(), dir, log, os.Args[:1], append(os.Environ(), agentDir+"="+dir))
	return err
}

// An agent goes to the background when it answers, and there is one only.
func TestBackground(t *testing.T) {
	dir := private(t)
	if err := background(t, dir); err != nil {
		t.Fatal(err)
	}
	if err := background(t, dir); !problem.Is(err, problem.CardBusy) {
		t.Error(err)
	}
	if _, err := client.Ask(t.Context(), filepath.Join(dir, service.Control), client.Request{Do: client.Stop}); err != nil {
		t.Error(err)
	}
}

// An agent that does not start tells why.
func TestBackgroundFails(t *testing.T) {
	dir := private(t)
	if err := os.WriteFile(filepath.Join(dir, service.SSH), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	var ended *service.EndedError
	if err := background(t, dir); !errors.As(err, &ended) || ended.Status != 9 || !strings.Contains(ended.Said, "is not a socket") {
		t.Error(err)
	}
}
