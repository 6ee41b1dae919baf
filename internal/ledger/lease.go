package ledger

import (
	"context"
	"time"
)

// beat prolongs the lease until it is stopped, or lost.
func (x *Lease) beat(ctx context.Context) {
	defer close(x.ended)
	tick := time.NewTicker(x.l.o.Lease / 3)
	defer tick.Stop()
	for {
		var asker chan struct{}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case asker = <-x.sooner:
		}
		asked := time.Now()
		length := x.length(asked)
		ours, err := x.prolong(ctx, length)
		switch {
		case err != nil: // the server may come back in time
		case ours:
			x.prolonged(asked, length)
		default:
			x.mu.Lock()
			x.lost = true
			x.mu.Unlock()
			return
		}
		if asker != nil {
			close(asker)
		}
	}
}

// prolong asks for more time, and reports whether the row is still this station's.
func (x *Lease) prolong(ctx context.Context, length time.Duration) (ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, x.l.o.Lease/3)
	defer cancel()
	result, err := x.l.db.ExecContext(ctx, "UPDATE job SET until = "+x.l.now()+" + $1 WHERE plan = $2 AND position = $3 AND lease = $4 AND holder = $5",
		length.Milliseconds(), x.plan, x.position, x.Number, x.holder)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// length is for how long the lease is asked for: to the end of a long step, and a while.
func (x *Lease) length(now time.Time) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return max(x.l.o.Lease, x.busy.Sub(now)+x.l.o.Lease/3)
}

// prolonged counts from before the server was asked.
func (x *Lease) prolonged(asked time.Time, length time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.until = asked.Add(length)
}

// Lasts reports whether a step that takes so long ends within the lease, as it is.
func (x *Lease) Lasts(step time.Duration) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	end := time.Now().Add(step)
	// The monotonic clock stands still while a machine sleeps, the other one does not.
	return !x.lost && end.Before(x.until) && end.Round(0).Before(x.until.Round(0))
}

// Expired reports whether the lease is over.
func (x *Lease) Expired() bool { return !x.Lasts(0) }

// Covers reports whether a step that takes so long ends within the lease, which is
// prolonged for it where the ledger is reached. A step that could outlast its lease must
// not be started. The row is held until the step should have ended, whatever happens.
func (x *Lease) Covers(step time.Duration) bool {
	const pause = 100 * time.Millisecond
	tried := time.NewTimer(x.l.o.Patience)
	defer tried.Stop()
	for first := true; ; first = false {
		x.mu.Lock()
		x.busy = time.Now().Add(step)
		x.mu.Unlock()
		if x.Lasts(step) {
			return true
		}
		if !first {
			time.Sleep(pause)
		}
		beaten := make(chan struct{})
		select {
		case x.sooner <- beaten:
		case <-x.ended:
			return false
		case <-tried.C:
			return false
		}
		select {
		case <-beaten:
		case <-x.ended:
		case <-tried.C:
			return x.Lasts(step)
		}
	}
}
