package applet

import (
	"fmt"
	"strings"
)

// destroys says what a command destroys on the card, or "".
func (c *command) destroys() string {
	switch c.name {
	case "delete":
		return fmt.Sprintf("deletes %s", c.aid("-aid"))
	case "delete_key":
		return fmt.Sprintf("deletes the card keys of version %d", c.number("-keyver"))
	case "put_sc_key":
		return "replaces card keys"
	case "put_dm_keys":
		if v := c.number("-keyver"); v != 0 {
			return fmt.Sprintf("replaces the delegated management keys of version %d", v)
		}
	case "send_apdu", "send_apdu_nostop":
		apdu := c.hex("-apdu")
		if name := destroyingCommands[apdu[1]]; name != "" {
			return "sends " + name
		}
	}
	return ""
}

// destroyingCommands are the commands of a security domain that destroy, or lock
// for good, by their instruction.
var destroyingCommands = map[byte]string{0xD8: "PUT KEY", 0xE4: "DELETE", 0xF0: "SET STATUS"}

// changes reports whether a command may change what is on the card.
func (c *command) changes() bool {
	switch c.name {
	case "load", "store_data", "delete", "delete_key", "put_sc_key", "put_dm_keys", "send_apdu", "send_apdu_nostop":
		return true
	}
	return strings.HasPrefix(c.name, "install")
}
