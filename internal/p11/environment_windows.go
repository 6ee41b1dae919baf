package p11

import "os"

func setForModules(name, value string) { _ = os.Setenv(name, value) }
func unsetForModules(name string)      { _ = os.Unsetenv(name) }
