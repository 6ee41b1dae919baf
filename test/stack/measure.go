package stack

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// Usage is what a command took.
type Usage struct {
	Time       time.Duration
	Work       time.Duration // of the processor; only of TryMeasured
	PeakMemory int64         // bytes
}

// Measure runs a command that has to succeed.
func (d *Desk) Measure(name string, args ...string) Usage {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := d.command(ctx, name, args...)
	start := time.Now()
	if err := cmd.Run(); err != nil {
		d.tb.Fatalf("%v: %v", cmd.Args, err)
	}
	return Usage{Time: time.Since(start), PeakMemory: peakMemory(cmd)}
}

// peakMemory is the greatest resident set, which Linux gives in kibibytes.
func peakMemory(cmd *exec.Cmd) int64 {
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss << 10
}

// TryMeasured is Try, with what the command took.
func (d *Desk) TryMeasured(name string, args ...string) (Result, Usage) {
	d.tb.Helper()
	start := time.Now()
	result, cmd := d.try("", name, args...)
	work := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return result, Usage{Time: time.Since(start), Work: work, PeakMemory: peakMemory(cmd)}
}
