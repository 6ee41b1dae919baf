package pcsc

import "github.com/cardctl/cardctl/internal/advice"

const notRunning = "The service does not answer; without systemd, run pcscd as root"

// start starts the PC/SC daemon.
func start() advice.Advice { return advice.Run("systemctl", "start", "pcscd.socket") }
