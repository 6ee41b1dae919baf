package pcsc

import (
	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"golang.org/x/sys/windows"
)

// winscard is the smart-card library of Windows: its functions that are used here, as
// Microsoft documents them under winscard.h.
type winscard struct {
	establishContext, releaseContext, cancel, listReaders, getStatusChange,
	connect, reconnect, disconnect, beginTransaction, endTransaction, status, transmit, control *windows.LazyProc
}

// loadWinscard loads the library, only from the directory of the system. Small editions
// of Windows do not have it.
func loadWinscard() (*winscard, error) {
	dll := windows.NewLazySystemDLL("winscard.dll")
	w := &winscard{}
	for name, proc := range map[string]**windows.LazyProc{
		"SCardEstablishContext": &w.establishContext, "SCardReleaseContext": &w.releaseContext, "SCardCancel": &w.cancel,
		"SCardListReadersW": &w.listReaders, "SCardGetStatusChangeW": &w.getStatusChange,
		"SCardConnectW": &w.connect, "SCardReconnect": &w.reconnect, "SCardDisconnect": &w.disconnect,
		"SCardBeginTransaction": &w.beginTransaction, "SCardEndTransaction": &w.endTransaction,
		"SCardStatusW": &w.status, "SCardTransmit": &w.transmit, "SCardControl": &w.control,
	} {
		*proc = dll.NewProc(name)
		if err := (*proc).Find(); err != nil {
			return nil, noLibrary(err)
		}
	}
	return w, nil
}

func noLibrary(err error) error {
	return problem.Wrap(problem.Failed, err, "no card readers").
		Because("The smart-card library of Windows, winscard.dll, cannot be used. %s", problem.Sentence(err.Error())).
		Advise(advice.Do(advice.ListSimulated))
}

// returned is the code that a function of the library returns, a LONG.
func returned(r, _ uintptr, _ error) error {
	if c := code(r); c != 0 {
		return c
	}
	return nil
}
