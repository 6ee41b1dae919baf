package pcsc

import "github.com/cardctl/cardctl/internal/advice"

const notRunning = "The service does not answer; starting it requires an administrator"

// start starts the PC/SC service.
func start() advice.Advice { return advice.Run("net", "start", "SCardSvr") }
