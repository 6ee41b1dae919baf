package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// pinFile is the PIN of a server's key, for the user of the server alone. The record does
// not have it.
type pinFile struct {
	Path string `json:"path"`
	User string `json:"user"`
	// Key is the URI of the key: the PIN of another one is another PIN.
	Key string `json:"key"`
	// Before and After are around the PIN if the file is a configuration. The PIN is between
	// quotes there, so in it quotes and backslashes follow a backslash.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`

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
	if _, err := p.value(); err != nil {
		return foreign, "+ other settings than " + p.Before + "the PIN" + p.After, nil
	}
	return present, "", nil
}

func (p *pinFile) whole() bool { return filepath.IsAbs(p.Path) && p.User != "" && p.Key != "" }

// question is asked before the PIN is written.
func (p *pinFile) question() advice.Question {
	who := "Root"
	if p.User != "root" {
		who = "Whoever works as " + p.User + ", and root,"
	}
	return advice.Question{Deed: "Write", Subject: "the PIN to " + p.Path, Lost: who + " can read it there and use the key."}
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
		content, err := p.content(value)
		if err != nil {
			return err
		}
		defer content.Wipe()
		err = output.NewPrivateFile(p.Path, content.Reveal())
		if err == nil {
			err = os.Lchown(p.Path, uid, gid)
		}
		if err != nil {
			return unwritable(p.Path, errors.Join(err, remove(p.Path)))
		}
		return nil
	})
}

// content is what is in the file with a PIN.
func (p *pinFile) content(value *secret.Bytes) (*secret.Bytes, error) {
	if p.Before == "" {
		return value.Clone(), nil
	}
	content := make([]byte, 0, len(p.Before)+2*value.Len()+len(p.After)) // no copies are left
	content = append(content, p.Before...)
	for _, b := range value.Reveal() {
		switch {
		case b < ' ' || b > '~':
			return nil, problem.New(problem.NotSupported, "the PIN cannot be written to %s", p.Path).
				Because("A program that reads such a file accepts PINs only of ASCII letters, digits and signs.").
				Advise(advice.Do(advice.SetPIN).On("user"))
		case b == '"' || b == '\\':
			content = append(content, '\\')
		}
		content = append(content, b)
	}
	return secret.New(append(content, p.After...)), nil
}

// value is the PIN in the file; nil for none.
func (p *pinFile) value() (*secret.Bytes, error) {
	const most = 4096 // bytes
	content, err := readUpTo(p.Path, most)
	if content == nil || err != nil {
		return nil, err
	}
	if p.Before == "" {
		return secret.New(content), nil
	}
	defer secret.Wipe(content)
	quoted, is := bytes.CutPrefix(content, []byte(p.Before))
	quoted, ends := bytes.CutSuffix(quoted, []byte(p.After))
	if !is || !ends {
		return nil, problem.New(problem.Mismatch, "%s is not as cardctl writes it", p.Path).
			Because("It has other settings around the PIN.").Advise(printInstead())
	}
	plain := make([]byte, 0, len(quoted))
	for i := 0; i < len(quoted); i++ {
		if quoted[i] == '\\' && i+1 < len(quoted) {
			i++
		}
		plain = append(plain, quoted[i])
	}
	return secret.New(plain), nil
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
