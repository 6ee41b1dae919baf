package sshagent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/problem"
)

// The flags of a request to sign: draft-ietf-sshm-ssh-agent, section 6.3.
const (
	rsaSHA256 = 2
	rsaSHA512 = 4
)

// sign is SSH_AGENTC_SIGN_REQUEST.
func (d *Desk) sign(ctx context.Context, by client, request []byte) []byte {
	var message struct {
		Key   []byte `sshtype:"13"`
		Data  []byte
		Flags uint32
	}
	if ssh.Unmarshal(request, &message) != nil {
		return done(false)
	}
	identities := d.identities(ctx)
	at := slices.IndexFunc(identities, func(i identity) bool { return bytes.Equal(i.public.Marshal(), message.Key) })
	if at < 0 {
		return done(false) // ssh also asks for keys that it has in files only
	}
	signature, err := signed(signer{by, identities[at].key}, message.Data, message.Flags)
	if err != nil && by.present.Err() != nil {
		return done(false) // nobody reads it
	}
	if err != nil {
		d.report(err, "SSH agent: sign with "+identities[at].comment)
		return done(false)
	}
	return ssh.Marshal(struct {
		Signature []byte `sshtype:"14"` // SSH_AGENT_SIGN_RESPONSE
	}{ssh.Marshal(signature)})
}

// signed is the signature of data in the form of SSH.
func signed(key signer, data []byte, flags uint32) (*ssh.Signature, error) {
	inSSH, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		return nil, err
	}
	algorithm := inSSH.PublicKey().Type()
	if algorithm == ssh.KeyAlgoRSA {
		switch {
		case flags&rsaSHA256 != 0:
			algorithm = ssh.KeyAlgoRSASHA256
		case flags&rsaSHA512 != 0:
			algorithm = ssh.KeyAlgoRSASHA512
		default:
			return nil, problem.New(problem.NotSupported, "the program asked for a signature with SHA-1").
				Because("RSA keys sign with SHA-2 only. The program and its server must support rsa-sha2-256 or rsa-sha2-512 (OpenSSH 7.2 and later).")
		}
	}
	withAlgorithm, ok := inSSH.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("the key does not choose algorithms")
	}
	return withAlgorithm.SignWithAlgorithm(rand.Reader, data, algorithm)
}

// signer is a key in the hands of a client, as crypto.Signer.
type signer struct {
	by  client
	key agent.Key
}

func (s signer) Public() crypto.PublicKey { return s.key.About().Public }

func (s signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.key.Sign(s.by.present, s.by.Client, digest, opts)
}
