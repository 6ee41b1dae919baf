package sshagent_test

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"
	sshclient "golang.org/x/crypto/ssh/agent"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/test/cardfault"
)

var (
	errNoKey   = errors.New("the key is not listed")
	errFailure = errors.New("SSH_AGENT_FAILURE")
)

// signs is a program that signs with a key.
func signs(t *testing.T, tokens agent.Tokens, public any) (func() error, error) {
	conn, _ := connect(t, sshagent.NewDesk(tokens, sshagent.Options{Log: func(err error) { t.Log(err) }}))
	client := sshclient.NewClient(conn)
	want, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	listed, err := client.List()
	if err != nil {
		return nil, err
	}
	for _, k := range listed {
		if !bytes.Equal(k.Marshal(), want.Marshal()) {
			continue
		}
		return func() error {
			signature, err := client.Sign(want, []byte("a message"))
			if err != nil && err.Error() == "agent: failed to sign challenge" {
				return errFailure
			}
			if err == nil {
				err = want.Verify([]byte("a message"), signature)
			}
			return err
		}, nil
	}
	return nil, errNoKey
}

// Whatever happens to the card, a program is told that it failed.
func TestCardFaults(t *testing.T) {
	cardfault.Judge(t, cardfault.Door{
		Gone: []string{errNoKey.Error(), errFailure.Error()}, Reset: []string{errFailure.Error(), errNoKey.Error()},
		Operations: []cardfault.Operation{
			{Name: "sign", Kind: cardfault.OpenPGP, Ref: "OPENPGP.3", Open: signs, Cold: true},
			{Name: "sign with PIV", Kind: cardfault.PIV, Ref: "PIV.9A", Open: signs, Cold: true},
		},
	})
}
