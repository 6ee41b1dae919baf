package opensc

import (
	"bytes"
	"context"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// card is a card with the application's file system.
type card struct {
	*iso7816.Channel
	now time.Time
}

// Files that the profiles of both cards have.
const (
	fileDIR    = 0x2F00
	fileDF     = 0x5015
	fileODF    = 0x5031
	fileToken  = 0x5032
	fileAODF   = 0x4401
	fileUnused = 0x4946
)

func id(file int) []byte { return []byte{byte(file >> 8), byte(file)} }

func (c *card) send(ctx context.Context, ins, p1, p2 byte, data []byte) error {
	_, err := c.Send(ctx, iso7816.Command{INS: ins, P1: p1, P2: p2, Data: data})
	return err
}

// enter selects a file of the application, 0 for the application itself.
func (c *card) enter(ctx context.Context, file int) error {
	path := id(fileDF)
	if file != 0 {
		path = append(path, id(file)...)
	}
	return c.send(ctx, iso7816.InsSelect, 0x08, 0x0C, path)
}

// exists reports whether there is a file of the application.
func (c *card) exists(ctx context.Context, file int) (bool, error) {
	err := c.enter(ctx, file)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return false, nil
	}
	return err == nil, err
}

// unused is the first file from one on that the application does not have.
func (c *card) unused(ctx context.Context, from int) (int, error) {
	for file := from; ; file++ {
		if there, err := c.exists(ctx, file); err != nil || !there {
			return file, err
		}
	}
}

// read reads a file of the application.
func (c *card) read(ctx context.Context, file int) ([]byte, error) {
	if err := c.enter(ctx, file); err != nil {
		return nil, err
	}
	var content []byte
	for {
		part, err := c.Send(ctx, iso7816.Command{INS: 0xB0, P1: byte(len(content) >> 8), P2: byte(len(content)), Ne: 256})
		if len(content) > 0 && iso7816.StatusOf(err) == iso7816.StatusWrongOffset {
			return content, nil
		}
		content = append(content, part...)
		if status := iso7816.StatusOf(err); err != nil && status != 0x6282 || len(part) < 256 {
			if status == 0x6282 {
				err = nil
			}
			return content, err
		}
	}
}

// write writes the selected file from its beginning.
func (c *card) write(ctx context.Context, content []byte) error {
	const most = 255
	for at := 0; at < len(content); at += most {
		if err := c.send(ctx, 0xD6, byte(at>>8), byte(at), content[at:min(at+most, len(content))]); err != nil {
			return err
		}
	}
	return nil
}

// objects are the data objects of a file, without the zeros behind them.
func objects(content []byte) [][]byte {
	var found [][]byte
	for len(content) > 0 && content[0] != 0 {
		_, rest, err := iso7816.ParseTLV(content)
		if err != nil {
			break
		}
		found = append(found, content[:len(content)-len(rest)])
		content = rest
	}
	return found
}

// edit rewrites a file of the application as a list of objects with zeros behind.
func (c *card) edit(ctx context.Context, file int, change func([][]byte) [][]byte) error {
	content, err := c.read(ctx, file)
	if err != nil {
		return err
	}
	edited := bytes.Join(change(objects(content)), nil)
	if len(edited) > len(content) {
		return &iso7816.StatusError{Status: iso7816.StatusNoSpace, INS: 0xD6}
	}
	return c.write(ctx, append(edited, make([]byte, len(content)-len(edited))...))
}

func added(object []byte) func([][]byte) [][]byte {
	return func(all [][]byte) [][]byte { return append(all, object) }
}

// touch writes the time into EF.TokenInfo.
func (c *card) touch(ctx context.Context) error {
	content, err := c.read(ctx, fileToken)
	if err != nil {
		return err
	}
	at := len(content) - len(c.time())
	return c.write(ctx, append(content[:at:at], c.time()...))
}

func (c *card) time() []byte { return []byte(c.now.UTC().Format("20060102150405Z")) }
