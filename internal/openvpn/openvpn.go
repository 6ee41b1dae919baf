// Package openvpn runs OpenVPN with a key on a card: it waits for the card, picks the
// certificate, and gives the PIN through OpenVPN's management interface, once. What
// OpenVPN does with the connection is left to OpenVPN.
package openvpn

import (
	"context"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/lend"
)

// Options say what is run, and how the user is reached.
type Options struct {
	// Key is the reference of the key; empty for the only one with a certificate.
	Key string
	// Config is the configuration file, Text what is in it, Args what else OpenVPN gets.
	Config string
	Text   []byte
	Args   []string
	// AllowTLS12 limits this run of OpenVPN to TLS 1.2, for keys that need it.
	AllowTLS12 bool

	// Lasting is the context of what lasts: a connection that is up is not limited by
	// the time that a command may take.
	Lasting context.Context
	// Choose asks which of several certificates is meant; nil where nobody can be asked.
	Choose func(ctx context.Context, question string, lines []string) (int, error)
	// Stored reads the certificate of a key from its card, in DER.
	Stored func(ctx context.Context, k key.Key) ([]byte, error)
	// Log takes each line that OpenVPN writes.
	Log func(line string)
}

// LongestConfig is the greatest length of a configuration in bytes.
const LongestConfig = 1 << 20

// Run runs OpenVPN until it ends, or until ctx ends, which ends it in order.
func Run(ctx context.Context, d *desk.Desk, a desk.Access, o Options) error {
	if o.Lasting == nil {
		o.Lasting = ctx
	}
	path, err := find(usualPlaces())
	if err != nil {
		return err
	}
	module, err := o.module(d)
	if err != nil {
		return err
	}
	config, err := o.check(ctx, module)
	if err != nil {
		return err
	}
	s := &setting{desk: d, access: a, options: o, config: config, program: path, module: module, settles: time.Minute}
	if err := s.await(ctx); err != nil {
		return err
	}
	if err := s.choose(ctx); err != nil {
		return err
	}
	return lend.With(ctx, d, a, s.options.Key, module, o.Stored, s.run)
}

// setting is one run: what it was given, and what was found.
type setting struct {
	desk            *desk.Desk
	access          desk.Access
	options         Options
	config          reading
	program, module string
	// settles is how long a token may take to call a PIN wrong.
	settles time.Duration
}

// grace is how long OpenVPN may take to end: it tells the server, and runs scripts.
const grace = 30 * time.Second
