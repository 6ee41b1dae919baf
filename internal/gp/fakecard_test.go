package gp

import "testing"

func replayOnCard(t *testing.T, v vector, list []exchange) {}
