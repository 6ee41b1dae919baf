// Package opensc stands in for OpenSC's programs if a test has no PC/SC daemon:
// it does to a simulated card what pkcs15-init of OpenSC 0.23 does, as far as
// cardctl needs it, and prints the same. It shares no code with
// internal/pkcs15. Whether it is true to OpenSC is left to a test on the real
// daemon, which runs the same jobs with the real programs and compares the
// cards.
package opensc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/runner"
)

// Reader is what PC/SC would call the reader of the card.
const Reader = "Simulated Reader 00 00"

// Programs are OpenSC's programs for one simulated card.
type Programs struct {
	// Connect connects to the card, which nobody else may have.
	Connect func(ctx context.Context) (iso7816.Connection, error)

	// Before is called before each run on the card, and After after it; nil for
	// nothing.
	Before, After func(p runner.Program)
}

// Tools is for pkcs15.Open.
func (o *Programs) Tools() pkcs15.Tools { return pkcs15.Tools{Run: o.run} }

// Run runs a program as somebody else would; env has the secrets.
func (o *Programs) Run(ctx context.Context, env []string, program string, args ...string) error {
	result, err := o.run(ctx, runner.Program{Name: program, Env: env, Args: append([]string{"--reader", Reader}, args...)})
	if err == nil && result.Exit != 0 {
		err = fmt.Errorf("%s: %s", program, result.Stderr)
	}
	return err
}

// failed is a message on standard error with exit status 1.
type failed string

func (e failed) Error() string { return string(e) }

func (o *Programs) run(ctx context.Context, p runner.Program) (runner.Result, error) {
	out, err := o.output(ctx, p)
	var message failed
	switch {
	case errors.As(err, &message):
		return runner.Result{Stdout: out, Stderr: []byte(message + "\n"), Exit: 1}, nil
	case errors.Is(err, iso7816.ErrCardRemoved), iso7816.StatusOf(err) != 0:
		return runner.Result{Stdout: out, Stderr: []byte("Failed: " + meaning(err) + "\n"), Exit: 1}, nil
	}
	return runner.Result{Stdout: out}, err
}

func (o *Programs) output(ctx context.Context, p runner.Program) ([]byte, error) {
	given, err := parse(p)
	if err != nil {
		return nil, err
	}
	if p.Name == "opensc-tool" && given.has("--info") {
		return []byte("OpenSC 0.23.0 [stand-in]\n"), nil
	}
	if given["--reader"] != Reader {
		return nil, failed("No smart card readers found.")
	}
	if o.Before != nil {
		o.Before(p)
	}
	if o.After != nil {
		defer o.After(p)
	}
	connection, err := o.Connect(ctx)
	if err != nil {
		return nil, err
	}
	can := iso7816.CapabilitiesOf(iso7816.HistoricalBytes(connection.ATR()))
	can.Chaining = true
	c := &card{Channel: iso7816.NewChannel(connection, can), now: time.Now()}
	out, err := work(ctx, c, p.Name, given)
	return out, errors.Join(err, connection.Close(false)) // OpenSC leaves the card as it is
}

// profile is what OpenSC knows of a kind of card.
type profile interface {
	create(ctx context.Context, given options) error
	generate(ctx context.Context, given options) error
	store(ctx context.Context, given options) error
	remove(ctx context.Context, given options) (int, error)
	storePIN(ctx context.Context, given options) error
	finalize(ctx context.Context) error
}

// other is what only the profile of a MyEID card does here.
func (c *myEID) other(ctx context.Context, program string, given options) ([]byte, error) {
	switch {
	case program == "pkcs15-tool":
		return c.tool(ctx, given)
	case program == "pkcs15-crypt" && given.has("--sign"):
		return c.sign(ctx, given)
	case program == "opensc-tool" && given.has("--name"):
		return []byte("MyEID 4.5.5\n"), nil
	case program == "pkcs15-init" && given.has("--store-certificate"):
		return nil, explained("store certificate", c.storeCertificate(ctx, given))
	case program == "pkcs15-init" && given.has("--erase-card"):
		return nil, explained("erase card", c.erase(ctx, given))
	case program == "pkcs15-init" && given.has("--erase-application"):
		return nil, explained("erase application", c.erase(ctx, given))
	}
	return nil, fmt.Errorf("%s %v is not built into the stand-in", program, given)
}

func work(ctx context.Context, c *card, program string, given options) ([]byte, error) {
	kind, err := recognise(ctx, c)
	if err != nil {
		return nil, err
	}
	if program == "pkcs15-init" {
		switch {
		case given.has("--create-pkcs15"):
			return nil, explained("create PKCS #15 meta structure", kind.create(ctx, given))
		case given.has("--store-pin"):
			return nil, explained("store PIN", kind.storePIN(ctx, given))
		case given.has("--finalize"):
			return nil, explained("finalize card", kind.finalize(ctx))
		case given.has("--generate-key"):
			return nil, explained("generate key", kind.generate(ctx, given))
		case given.has("--store-private-key"):
			return nil, explained("store private key", kind.store(ctx, given))
		case given.has("--delete-objects"):
			n, err := kind.remove(ctx, given)
			return fmt.Appendf(nil, "Deleted %d objects\n", n), explained("delete object(s)", err)
		}
	}
	if _, ok := kind.(*isoApplet); ok && program == "opensc-tool" && given.has("--list-algorithms") {
		return []byte("Algorithm: rsa\nKey length: 2048\n\nAlgorithm: ec\nKey length: 256\n"), nil // as an OpenSC that knows version 1.0
	}
	if my, ok := kind.(*myEID); ok {
		return my.other(ctx, program, given)
	}
	return nil, fmt.Errorf("%s %v is not built into the stand-in", program, given)
}

// recognise finds the profile, as the drivers of OpenSC do.
func recognise(ctx context.Context, c *card) (profile, error) {
	applet := []byte{0xF2, 0x76, 0xA2, 0x88, 0xBC, 0xFB, 0xA6, 0x9D, 0x34, 0xF3, 0x10, 0x01}
	version, err := c.Select(ctx, applet)
	if err == nil {
		if len(version) == 0 { // 1.0 and later: extended length, and no chaining
			c.Announce(iso7816.Capabilities{ExtendedLength: true})
		}
		return &isoApplet{c}, nil
	}
	if iso7816.StatusOf(err) != 0 {
		if _, err = c.Select(ctx, applicationID()); err == nil {
			return &myEID{c}, nil
		}
	}
	if iso7816.StatusOf(err) != 0 {
		return nil, failed("Failed to connect to card: Card is invalid or cannot be handled")
	}
	return nil, err
}

// applicationID is that of PKCS#15.
func applicationID() []byte { return []byte("\xA0\x00\x00\x00\x63PKCS-15") }

func explained(what string, err error) error {
	var message failed
	if iso7816.StatusOf(err) == 0 && !errors.Is(err, iso7816.ErrCardRemoved) || errors.As(err, &message) {
		return err
	}
	return failed("Failed to " + what + ": " + meaning(err))
}

// meaning is OpenSC's text for a status word.
func meaning(err error) string {
	status := iso7816.StatusOf(err)
	if _, wrong := status.TriesLeft(); wrong {
		return "PIN code or key incorrect"
	}
	switch status {
	case 0:
		return "Transmit failed"
	case iso7816.StatusPINBlocked:
		return "Authentication method blocked"
	case iso7816.StatusSecurityNotSatisfied:
		return "Security status not satisfied"
	case iso7816.StatusNoSpace:
		return "Not enough memory on card"
	case 0x6900, 0x6986:
		return "Not allowed"
	}
	return "Card command failed"
}

// options are those of a program, with secrets and files in the place of their
// names.
type options map[string]string

func (o options) has(name string) bool { _, ok := o[name]; return ok }

// switches are the options without a value.
func switches() string {
	return " --create-pkcs15 --store-pin --no-so-pin --info --list-algorithms --finalize --dump --no-cache --change-pin --unblock-pin " +
		"--name --erase-card --sign --raw --pkcs1 --authority --verify-pin --list-info " +
		"--sha-1 --sha-256 --sha-384 --sha-512 "
}

func parse(p runner.Program) (options, error) {
	given := options{}
	for i := 0; i < len(p.Args); i++ {
		name, value := p.Args[i], ""
		if !strings.Contains(switches(), " "+name+" ") {
			if i++; i == len(p.Args) {
				return nil, failed(p.Name + ": option '" + name + "' requires an argument")
			}
			value = p.Args[i]
		}
		if variable, ok := strings.CutPrefix(value, "env:"); ok {
			value = lookUp(p.Env, variable)
		}
		if value == runner.FilePlace {
			value = string(p.File)
		}
		if value == "-" {
			value = strings.TrimSuffix(string(p.Stdin), "\n")
		}
		given[name] = value
	}
	return given, nil
}

func lookUp(env []string, name string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
