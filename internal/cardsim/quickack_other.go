//go:build !linux

package cardsim

import "net"

// acknowledgeAtOnce is for systems that can turn delayed acknowledgement off.
func acknowledgeAtOnce(*net.TCPConn) {}
