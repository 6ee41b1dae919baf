//go:build !linux && !windows

package pcsc

import "github.com/cardctl/cardctl/internal/advice"

const notRunning = "The service does not answer"

func start() advice.Advice { return advice.Do(advice.Diagnose) }
