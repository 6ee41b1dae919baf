package pcsc

import (
	"os"

	"github.com/cardctl/cardctl/internal/advice"
)

const notRunning = "The service does not answer"

// start starts the PC/SC daemon by its socket, or has the reason found why there is
// none.
func start() advice.Advice {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return advice.Do(advice.Diagnose)
	}
	return advice.Run("systemctl", "start", "pcscd.socket")
}
