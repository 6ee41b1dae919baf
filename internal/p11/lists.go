//go:build cgo || windows

package p11

const (
	// maxList is the longest list of slots or mechanisms that is believed. There
	// are some 400 mechanisms, and no machine has a thousand readers.
	maxList = 1024
	// commonList is a list that nearly all lists are shorter than.
	commonList = 512
	// searchBatch is how many handles a search asks for at once.
	searchBatch = 100
)
