package p11

import "os"

// DriverVariable is where OpenSC looks, when it is initialised, for the one card
// driver that it is to use.
const DriverVariable = "OPENSC_DRIVER"

// bindDriver binds OpenSC to a driver when it is initialised next, before free is
// called. It does not where the user has bound it. No more than one may do so at
// once; programs that are started meanwhile do not get it.
func bindDriver(driver string) (free func(), bound bool) {
	if _, set := os.LookupEnv(DriverVariable); set || driver == "" {
		return func() {}, false
	}
	setForModules(DriverVariable, driver)
	return func() { unsetForModules(DriverVariable) }, true
}

// EmulatedModel is the model that OpenSC's module reports of a card without a PKCS#15
// directory.
const EmulatedModel = "PKCS#15 emulated"
