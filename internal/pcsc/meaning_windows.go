package pcsc

import "golang.org/x/sys/windows"

// systemMeaning is what Windows says of a code of its own, such as those of the service
// of remote sessions.
func systemMeaning(c code) string { return windows.Errno(c).Error() }
