package output

import (
	"fmt"
	"strings"
	"time"
)

// barWidth is the number of characters of a whole bar.
const barWidth = 24

// bar is work whose size is known.
type bar struct {
	message string
	started time.Time
}

// Bar shows on a terminal how many of total bytes are done, and the time that
// the others take at the same speed. Elsewhere it shows the message when the
// work begins, and no more.
func (p *Progress) Bar(message string, done, total int) {
	if p.bar == nil || p.bar.message != message {
		p.Done()
		p.bar = &bar{message: message, started: time.Now()}
		if !p.live {
			p.say(Line(message))
		}
		p.stop = func() {
			if p.live {
				fmt.Fprint(p.w, clearLine)
			}
			p.bar, p.stop = nil, func() {}
		}
	}
	if p.live {
		fmt.Fprint(p.w, clearLine+barLine(Line(message), done, total, time.Since(p.bar.started)))
	}
}

// barLine is the line on the terminal. There is no time left to tell while
// nothing is done.
func barLine(message string, done, total int, elapsed time.Duration) string {
	done, total = max(done, 0), max(total, done, 1)
	filled := barWidth * done / total
	line := fmt.Sprintf("%s [%s%s] %d of %d bytes", message, strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), done, total)
	if done == 0 {
		return line
	}
	left := time.Duration(float64(elapsed) * float64(total-done) / float64(done))
	return fmt.Sprintf("%s, %s left", line, left.Round(time.Second))
}
