//go:build !windows

package pcsc

// systemMeaning is empty: PC/SC lite returns only codes of PC/SC.
func systemMeaning(code) string { return "" }
