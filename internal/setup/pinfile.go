package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
)

// pinFile is the PIN of a server's key, for the user of the server alone. The record does
// not have it.
type pinFile struct {
	Path string `json:"path"`
	User string `json:"user"`
	// Key is the URI of the key: the PIN of another one is another PIN.
	Key string `json:"key"`

	// send gives the PIN, which the token accepted.
	send func(ctx context.Context, use func(context.Context, *secret.Bytes) error) error
}

func (p *pinFile) kind() string  { return "pin" }
func (p *pinFile) place() string { return p.Path }
func (p *pinFile) text() string {
	return "the PIN of " + p.Key + ", which only " + p.User + " can read\n"
}

func (p *pinFile) look(context.Context) (state, string, error) {
	info, err := os.Lstat(p.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, "", nil
	case err != nil:
		return absent, "", unreadable(p.Path, err)
	}
	const alone = fs.FileMode(0o600)
	uid, _, err := idsOf(p.User)
	if err != nil {
		return absent, "", err
	}
	if info.Mode() != alone || !owns(info, uid) {
		return foreign, fmt.Sprintf("- mode %s, of %s\n+ mode %s, or of another user\n", alone, p.User, info.Mode()), nil
	}
	return present, "", nil
}

func (p *pinFile) whole() bool { return filepath.IsAbs(p.Path) && p.User != "" && p.Key != "" }

// question is asked before the PIN is written.
func (p *pinFile) question() advice.Question {
	return advice.Question{
		Deed: "Write", Subject: "the PIN to " + p.Path,
		Lost: "Whoever works as " + p.User + ", and root, can read it there and use the key.",
	}
}

func (p *pinFile) remember(context.Context) error { return nil }

func (p *pinFile) write(ctx context.Context) error {
	uid, gid, err := idsOf(p.User)
	if err != nil {
		return err
	}
	return p.send(ctx, func(_ context.Context, value *secret.Bytes) error {
		if err := os.Remove(p.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unwritable(p.Path, err)
		}
		err := output.NewPrivateFile(p.Path, value.Reveal())
		if err == nil {
			err = os.Lchown(p.Path, uid, gid)
		}
		if err != nil {
			return unwritable(p.Path, errors.Join(err, remove(p.Path)))
		}
		return nil
	})
}

// value is the PIN in the file; nil for none.
func (p *pinFile) value() (*secret.Bytes, error) {
	const most = 4096 // bytes
	content, err := readUpTo(p.Path, most)
	if content == nil || err != nil {
		return nil, err
	}
	return secret.New(content), nil
}

func (p *pinFile) remove(context.Context) error {
	if err := remove(p.Path); err != nil {
		return unwritable(p.Path, err)
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
