package pcsc

import (
	"errors"
	"unsafe"

	"github.com/cardctl/cardctl/internal/advice"
	"golang.org/x/sys/windows"
)

const serviceName = "SCardSvr"

// notRunning is why the PC/SC service does not answer, and what to do about it. Windows
// starts the service when a reader is connected, and ends it when there is none.
func notRunning() (why string, next advice.Advice) {
	state, err := serviceState()
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return "This Windows has no smart-card service", advice.Do(advice.ListSimulated)
	case err != nil:
		return "The service does not answer", connectReader()
	case state.disabled:
		return "The service is disabled; enabling it requires an administrator", advice.Run("sc.exe", "config", serviceName, "start=", "demand")
	case state.running:
		return "The service runs, but not for this session; a remote session has the readers of the computer that it comes from",
			advice.Say("Run the command in a session at this computer, or connect the reader to the other computer.")
	}
	return "Windows starts the service when a reader is connected", connectReader()
}

func connectReader() advice.Advice {
	return advice.Say("Connect a reader, then run the command again.")
}

type stateOfService struct{ disabled, running bool }

// serviceState asks the service control manager, which every user may.
func serviceState() (stateOfService, error) {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return stateOfService{}, err
	}
	defer func() { _ = windows.CloseServiceHandle(manager) }()
	name, err := windows.UTF16PtrFromString(serviceName)
	if err != nil {
		return stateOfService{}, err
	}
	service, err := windows.OpenService(manager, name, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return stateOfService{}, err
	}
	defer func() { _ = windows.CloseServiceHandle(service) }()
	var status windows.SERVICE_STATUS
	if err := windows.QueryServiceStatus(service, &status); err != nil {
		return stateOfService{}, err
	}
	var config [8192]byte // the most that the function fills
	var needed uint32
	settings := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&config[0]))
	if err := windows.QueryServiceConfig(service, settings, uint32(len(config)), &needed); err != nil {
		return stateOfService{}, err
	}
	return stateOfService{
		disabled: settings.StartType == windows.SERVICE_DISABLED, running: status.CurrentState == windows.SERVICE_RUNNING,
	}, nil
}
