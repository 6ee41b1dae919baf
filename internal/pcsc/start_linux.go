package pcsc

import (
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/advice"
)

// notRunning is why the PC/SC daemon does not answer, and what to do about it.
func notRunning() (why string, next advice.Advice) {
	return "The service does not answer", startIn(os.DirFS("/"))
}

// startIn starts the daemon by its socket in a system with these files, or has the
// reason found why there is none. systemd is at work if it has its directory, see
// sd_booted(3).
func startIn(root fs.FS) advice.Advice {
	if _, err := fs.Stat(root, "run/systemd/system"); err != nil {
		return advice.Do(advice.Diagnose)
	}
	return advice.Run("systemctl", "start", "pcscd.socket")
}
