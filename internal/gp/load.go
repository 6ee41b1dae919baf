package gp

import (
	"context"
	"crypto/des"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// maxLoadBlocks is how many blocks P2 of LOAD can count.
const maxLoadBlocks = 256

// tagLoadFile is the load file data block of the first LOAD (11.6.2.3).
const tagLoadFile iso7816.Tag = 0xC4

// ErrTooManyBlocks is a load file that does not fit 256 blocks.
var ErrTooManyBlocks = fmt.Errorf("a load file has at most %d blocks", maxLoadBlocks)

// LoadBlocks is how many LOAD commands a load file of size bytes takes, with
// blocks of the greatest length that fits into commands of total data bytes.
func (s *Session) LoadBlocks(size, total int) (int, error) {
	return loadBlocks(size, s.MaxData(total))
}

// FewestLoadBlocks is how many LOAD commands a load file of size bytes takes at
// least, in a session of this level that is not open yet: with the protocol
// that adds the least to commands.
func FewestLoadBlocks(size, total int, level Level) (int, error) {
	return loadBlocks(size, maxData(level, total, des.BlockSize, des.BlockSize))
}

func loadBlocks(size, block int) (int, error) {
	framed := len(iso7816.AppendLength(iso7816.AppendTag(nil, tagLoadFile), size)) + size
	count := (framed + block - 1) / block
	if count > maxLoadBlocks {
		return count, fmt.Errorf("%w, and this one needs %d", ErrTooManyBlocks, count)
	}
	return count, nil
}

// LoadError is a LOAD that failed. Sent blocks are already on the card.
type LoadError struct {
	Sent, Blocks int
	cause        error
}

func (e *LoadError) Error() string {
	return fmt.Sprintf("LOAD block %d of %d: %v", e.Sent+1, e.Blocks, e.cause)
}

func (e *LoadError) Unwrap() error { return e.cause }

// Blocks are how a load file is sent: in commands of at most Total data bytes each,
// the MAC included. FullWithoutLe has those that are full ask for no answer, as old
// hosts do, for which one byte more did not fit.
type Blocks struct {
	Total         int
	FullWithoutLe bool
}

// Load sends a load file in LOAD commands (11.6); it reports how many of its bytes
// have arrived.
func (d *SecurityDomain) Load(ctx context.Context, file []byte, blocks Blocks, report func(sent int)) error {
	if d.session == nil {
		return ErrSessionClosed
	}
	count, err := d.session.LoadBlocks(len(file), blocks.Total)
	if err != nil {
		return err
	}
	framed := iso7816.AppendTLV(make([]byte, 0, len(file)+5), tagLoadFile, file)
	block := d.session.MaxData(blocks.Total)
	for i := range count {
		data := framed[i*block : min((i+1)*block, len(framed))]
		cmd := iso7816.Command{CLA: classGP, INS: insLoad, P2: byte(i), Data: data, Ne: iso7816.MaxShortNe}
		if blocks.FullWithoutLe && len(data) == block {
			cmd.Ne = 0
		}
		if i == count-1 {
			cmd.P1 = 0x80
		}
		if _, err := d.send(ctx, "LOAD", cmd); err != nil {
			return &LoadError{Sent: i, Blocks: count, cause: err}
		}
		if report != nil {
			report(max(0, i*block+len(data)-(len(framed)-len(file))))
		}
	}
	return nil
}

// MaxCommandData is the most data bytes of one command: of an extended one
// where the card announces extended length, else of a short one.
func MaxCommandData(can iso7816.Capabilities) int {
	if can.ExtendedLength {
		return maxExtended(can)
	}
	return iso7816.MaxShortData
}
