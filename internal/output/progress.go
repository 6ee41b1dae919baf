package output

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	spinnerPeriod = 120 * time.Millisecond
	// patience is how long nothing may be seen to move.
	patience  = 500 * time.Millisecond
	clearLine = "\r\x1b[K"
	lineUp    = "\x1b[A"
)

// Progress tells what is going on: on a terminal a line that moves and is
// taken away afterwards, elsewhere a line of text for each message.
type Progress struct {
	w    io.Writer
	live bool
	json bool
	stop func()
	bar  *bar // what is shown, if it is one
}

// NewProgress returns a progress on w; live where w is a terminal.
func NewProgress(w io.Writer, live bool) *Progress {
	return &Progress{w: w, live: live, stop: func() {}}
}

// NewJSONProgress returns a progress that is a line of JSON for each message.
func NewJSONProgress(w io.Writer) *Progress {
	return &Progress{w: w, json: true, stop: func() {}}
}

// Show tells what is going on now, in place of what was shown before.
func (p *Progress) Show(message string) {
	p.Done()
	message = Line(message)
	if !p.live {
		p.say(message)
		return
	}
	p.moving(message, 0)
}

// say is a message where nothing moves.
func (p *Progress) say(message string) {
	if !p.json {
		fmt.Fprintln(p.w, message)
		return
	}
	_ = WriteDocument(p.w, "Progress", struct { // nobody reads it then
		Message string `json:"message"`
	}{message})
}

// Lines shows several lines on a terminal, in place of what was shown before; elsewhere
// nothing.
func (p *Progress) Lines(lines []string) {
	p.Done()
	if !p.live || len(lines) == 0 {
		return
	}
	for _, line := range lines {
		fmt.Fprintln(p.w, Line(line))
	}
	p.stop = func() {
		for range lines {
			fmt.Fprint(p.w, lineUp+clearLine)
		}
		p.stop = func() {}
	}
}

// Ring makes a sound on a terminal.
func (p *Progress) Ring() {
	if p.live {
		fmt.Fprint(p.w, "\a")
	}
}

// Working shows a message once it took longer than a moment, and where it can
// move; elsewhere nothing.
func (p *Progress) Working(message string) {
	p.Done()
	if p.live {
		p.moving(Line(message), patience)
	}
}

func (p *Progress) moving(message string, after time.Duration) {
	quit := make(chan struct{})
	var gone sync.WaitGroup
	gone.Go(func() { p.spin(message, after, quit) })
	p.stop = func() {
		close(quit)
		gone.Wait()
		p.stop = func() {}
	}
}

// Done takes away what is shown. It is called before anything else is written
// where the progress is.
func (p *Progress) Done() { p.stop() }

func (p *Progress) spin(message string, after time.Duration, quit <-chan struct{}) {
	started := time.Now()
	if after > 0 {
		select {
		case <-time.After(after):
		case <-quit:
			return
		}
	}
	tick := time.NewTicker(spinnerPeriod)
	defer tick.Stop()
	for i := 0; ; i++ {
		fmt.Fprintf(p.w, "%s%c %s %ds", clearLine, `|/-\`[i%4], message, int(time.Since(started).Seconds()))
		select {
		case <-tick.C:
		case <-quit:
			fmt.Fprint(p.w, clearLine)
			return
		}
	}
}
