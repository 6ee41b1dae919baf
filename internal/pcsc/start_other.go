//go:build !linux && !windows

package pcsc

import "github.com/cardctl/cardctl/internal/advice"

func notRunning() (why string, next advice.Advice) {
	return "The service does not answer", advice.Do(advice.Diagnose)
}
