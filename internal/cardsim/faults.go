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
	lies                    map[int]lie
	statuses                []statusFault
	delay                   time.Duration
}

// lie is what a card says of a command, whatever it did.
type lie struct {
	status iso7816.Status
	done   bool
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
		raw: map[int][]byte{}, lies: map[int]lie{},
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

// Lie answers the n-th APDU by this status word and no data. The card has
// carried the command out where done is set, and has not seen it where not: the
// host cannot tell the one from the other.
//
// A matrix of lies runs a workflow with Lie(n, status, done) for every n from 1,
// every status of Lies and both done, until the workflow ends before its n-th
// APDU (Traffic). Each time no secret may be sent twice, no key may be lost, and
// every sentence about the card has to be true of it.
func Lie(n int, status iso7816.Status, done bool) Fault {
	return func(p *faultPlan) { p.lies[n] = lie{status, done} }
}

// Lies are the status words that cards give to commands which they carried out as
// well as to others: warnings, execution errors, conditions, and lengths that
// nobody asked for.
func Lies() []iso7816.Status {
	return []iso7816.Status{
		0x6200, 0x6282, 0x6310, 0x63C1, iso7816.StatusMemoryFailure,
		iso7816.StatusConditionsNotSatisfied, iso7816.StatusUnknown, 0x6C10, 0x617D,
	}
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
	if l, ok := p.lies[n]; ok && !l.done {
		return encode(nil, l.status)
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

// said is the answer to the n-th APDU, which the card carried out, as the host
// gets it.
func (p *faultPlan) said(n int, answer []byte) []byte {
	if l, ok := p.lies[n]; ok {
		return encode(nil, l.status)
	}
	return answer
}
