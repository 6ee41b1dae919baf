//go:build !windows

package service

import (
	"os"
	"os/signal"
	"syscall"
)

// send is how gpg-agent 2.2 hears of cards that come and go.
func send(pid, number int) error { return syscall.Kill(pid, syscall.Signal(number)) }

// passSignals passes on to the program that started this process what the agent sends it,
// until the function that it returns is called.
func passSignals() (stop func()) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range got {
			if number, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(os.Getppid(), number)
			}
		}
	}()
	return func() {
		signal.Stop(got)
		close(got)
	}
}
