package pcsc

import (
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/advice"
)

const notRunning = "The service does not answer"

// start starts the PC/SC daemon by its socket, or has the reason found why there is
// none.
func start() advice.Advice { return startIn(os.DirFS("/")) }

// startIn is start in a system with these files. systemd is at work if it has its
// directory, see sd_booted(3).
func startIn(root fs.FS) advice.Advice {
	if _, err := fs.Stat(root, "run/systemd/system"); err != nil {
		return advice.Do(advice.Diagnose)
	}
	return advice.Run("systemctl", "start", "pcscd.socket")
}
