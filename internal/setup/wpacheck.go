package setup

import (
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// checkWPA has eapol_test, which is wpa_supplicant without a network, log in to a server
// on loopback with what was written. Only the CA is that of the server.
func checkWPA(ctx context.Context, j *job) (string, error) {
	if err := (program{names: []string{"eapol_test"}, pack: "eapoltest"}).required(); err != nil {
		return "", err
	}
	w, err := newWPA(ctx, j)
	if err != nil {
		return "", err
	}
	server, err := newEAPServer(j.key.certificate)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "cannot start a server")
	}
	defer server.close()
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w.authorities = filepath.Join(dir, "ca.pem")
	if err := putFile(w.authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.authority})); err != nil {
		return "", err
	}
	service := *j
	service.Environ = j.unitEnvironment(w.lower)
	ctx, stop := context.WithTimeout(ctx, checkTime)
	defer stop()
	err = j.key.SendPIN(ctx, func(ctx context.Context, pin *secret.Bytes) error {
		configuration := secret.New([]byte(w.text(pin.Reveal())))
		defer configuration.Wipe()
		result, err := service.outcome(ctx, runner.Program{
			Name: "eapol_test", Args: []string{"-c", runner.FilePlace, "-a", "127.0.0.1", "-p", server.port, "-s", radiusSecret, "-n"},
			File: configuration.Reveal(),
		})
		if err != nil || result.Exit == 0 && server.proved.Load() {
			return err
		}
		failed := problem.New(problem.Failed, "wpa_supplicant does not log in with the key")
		if why := whyNotWPA(result.Stdout, pin.Reveal()); why != "" {
			failed = failed.Because("It reports: %s", problem.Sentence(why))
		}
		return failed
	})
	return "wpa_supplicant logs in to a server on this machine with the key, by EAP-TLS", err
}

// whyNotWPA is the first line of eapol_test that tells of a failure in OpenSSL. It prints
// the PIN, too, which is in no line that is shown.
func whyNotWPA(output, pin []byte) string {
	for line := range strings.Lines(string(output)) {
		part, said, _ := strings.Cut(strings.TrimSpace(line), ": ")
		failed := strings.Contains(said, "error:") || strings.Contains(said, "ailed")
		if failed && slices.Contains([]string{"ENGINE", "OpenSSL", "TLS"}, part) && !strings.Contains(line, string(pin)) {
			return said
		}
	}
	return ""
}
