package cardsim

import (
	"bytes"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Fault is one thing that goes wrong with an opened card, once. APDUs and
// writes are counted from 1, over all connections, since the card was opened.
type Fault func(*faultPlan)

// faultPlan is what goes wrong when.
type faultPlan struct {
	before, after           map[int]bool   // removal around the n-th APDU
	writeBefore, writeAfter map[int]bool   // power loss around the n-th write
	raw                     map[int][]byte // answer to the n-th APDU
	statuses                []statusFault
	delay                   time.Duration
}

type statusFault struct {
	ins    byte
	nth    int
	status iso7816.Status
	seen   int
}

func newFaultPlan(faults []Fault) faultPlan {
	p := faultPlan{
		before: map[int]bool{}, after: map[int]bool{},
		writeBefore: map[int]bool{}, writeAfter: map[int]bool{},
		raw: map[int][]byte{},
	}
	for _, f := range faults {
		f(&p)
	}
	return p
}

// RemoveBefore pulls the card before it sees the n-th APDU.
func RemoveBefore(n int) Fault { return func(p *faultPlan) { p.before[n] = true } }

// RemoveAfter pulls the card when it has carried the n-th APDU out and before
// its answer is read.
func RemoveAfter(n int) Fault { return func(p *faultPlan) { p.after[n] = true } }

// PowerLossBeforeWrite takes the power before the n-th change of the state is
// written: the card wakes up in the state before it.
func PowerLossBeforeWrite(n int) Fault { return func(p *faultPlan) { p.writeBefore[n] = true } }

// PowerLossAfterWrite takes the power when the n-th change of the state is
// written, before the command goes on.
func PowerLossAfterWrite(n int) Fault { return func(p *faultPlan) { p.writeAfter[n] = true } }

// Refuse answers the n-th command with this instruction by a status word; the
// card does not see the command.
func Refuse(ins byte, nth int, status iso7816.Status) Fault {
	return func(p *faultPlan) { p.statuses = append(p.statuses, statusFault{ins: ins, nth: nth, status: status}) }
}

// Garbage answers the n-th APDU with these bytes, which need not be an answer;
// the card does not see the command.
func Garbage(n int, answer []byte) Fault {
	return func(p *faultPlan) { p.raw[n] = append([]byte{}, answer...) }
}

// Delay adds to the latency of the card for every APDU.
func Delay(d time.Duration) Fault { return func(p *faultPlan) { p.delay += d } }

func (p *faultPlan) removedBefore(n int) bool   { return p.before[n] }
func (p *faultPlan) removedAfter(n int) bool    { return p.after[n] }
func (p *faultPlan) powerLossBefore(n int) bool { return p.writeBefore[n] }
func (p *faultPlan) powerLossAfter(n int) bool  { return p.writeAfter[n] }

// answer is what is said instead of the card to the n-th APDU; nil where the
// card answers itself.
func (p *faultPlan) answer(n int, apdu []byte) []byte {
	if raw, ok := p.raw[n]; ok {
		return bytes.Clone(raw)
	}
	if len(apdu) < 2 {
		return nil
	}
	for i := range p.statuses {
		f := &p.statuses[i]
		if f.ins != apdu[1] {
			continue
		}
		if f.seen++; f.seen == f.nth {
			return encode(nil, f.status)
		}
	}
	return nil
}
