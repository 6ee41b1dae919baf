package gp

import (
	"cmp"
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Delete is DELETE (11.2) of an application or a load file; with related, of a
// load file and everything that was installed from it.
func (d *SecurityDomain) Delete(ctx context.Context, aid AID, related bool) error {
	cmd := iso7816.Command{
		CLA: classGP, INS: insDelete, Data: iso7816.AppendTLV(nil, tagAID, aid), Ne: iso7816.MaxShortNe,
	}
	if related {
		cmd.P2 = 0x80
	}
	_, err := d.send(ctx, "DELETE", cmd)
	return err
}

// DeleteKey is DELETE [key] (11.2.2.3.2); 0 for id or version leaves it open.
func (d *SecurityDomain) DeleteKey(ctx context.Context, id, version byte) error {
	var data []byte
	if id != 0 {
		data = iso7816.AppendTLV(data, 0xD0, []byte{id})
	}
	if version != 0 {
		data = iso7816.AppendTLV(data, 0xD2, []byte{version})
	}
	_, err := d.send(ctx, "DELETE [key]", iso7816.Command{CLA: classGP, INS: insDelete, Data: data, Ne: iso7816.MaxShortNe})
	return err
}

// Data formats of STORE DATA, bits of P1 (11.11.2.1).
const (
	StoreEncrypted byte = 0x60
	StoreDGI       byte = 0x08
	StoreBERTLV    byte = 0x10
	storeLast      byte = 0x80
)

// StoreData is STORE DATA (11.11), in as many blocks as it takes, each a command of
// at most total data bytes with its MAC; 0 is what a short APDU holds. format is the
// bits of P1 that say what data is; with answer, the last block asks for one.
func (d *SecurityDomain) StoreData(ctx context.Context, format byte, data []byte, total int, answer bool) ([]byte, error) {
	block := cmp.Or(min(total, iso7816.MaxShortData), iso7816.MaxShortData)
	if d.session != nil {
		block = d.session.MaxData(block)
	}
	if blocks := (len(data) + block - 1) / block; blocks > 256 {
		return nil, ErrTooLong
	}
	for i := 0; ; i++ {
		n := min(block, len(data))
		cmd := iso7816.Command{CLA: classGP, INS: insStoreData, P1: format &^ storeLast, P2: byte(i), Data: data[:n]}
		data = data[n:]
		last := len(data) == 0
		if last {
			cmd.P1 |= storeLast
			if answer {
				cmd.P1 |= 0x01
				cmd.Ne = iso7816.MaxShortNe
			}
		}
		got, err := d.send(ctx, "STORE DATA", cmd)
		if err != nil || last {
			return got, err
		}
	}
}
