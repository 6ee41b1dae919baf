package applet

import (
	"strings"

	"github.com/cardctl/cardctl/internal/gp"
)

// packageNames are the packages that cards have built in, by AID.
var packageNames = map[string]string{
	"A0000000620001": "java.lang", "A0000000620002": "java.io", "A0000000620003": "java.rmi",
	"A0000000620101": "javacard.framework", "A000000062010101": "javacard.framework.service",
	"A0000000620102": "javacard.security", "A0000000620201": "javacardx.crypto", "A0000000620202": "javacardx.biometry",
	"A0000000620203": "javacardx.external", "A0000000620204": "javacardx.biometry1toN", "A0000000620205": "javacardx.security",
	"A000000062020801": "javacardx.framework.util", "A00000006202080101": "javacardx.framework.util.intx",
	"A000000062020802": "javacardx.framework.math", "A000000062020803": "javacardx.framework.tlv",
	"A000000062020804": "javacardx.framework.string", "A0000000620209": "javacardx.apdu", "A000000062020901": "javacardx.apdu.util",
	"A00000015100": "org.globalplatform", "A00000000300": "visa.openplatform",
	"A0000000090003FFFFFFFF8910710001": "sim.access", "A0000000090003FFFFFFFF8910710002": "sim.toolkit",
	"A0000000090005FFFFFFFF8911000000": "uicc.access", "A0000000090005FFFFFFFF8912000000": "uicc.toolkit",
	"A0000000090005FFFFFFFF8911010000": "uicc.access.fileadministration",
}

// packageName is the name of a package that cards have built in, or "".
func packageName(aid gp.AID) string { return packageNames[aid.String()] }

// platform reports whether a package is of the platform: cards have such
// packages without listing them.
func platform(aid gp.AID) bool {
	text := aid.String()
	for _, rid := range []string{"A000000062", "A000000151", "A000000003", "A000000009"} {
		if strings.HasPrefix(text, rid) {
			return true
		}
	}
	return false
}

// javaCard is the version of Java Card that first has a version of
// javacard.framework, "" for none known.
func javaCard(imports []Package) string {
	for _, p := range imports {
		if p.Name == "javacard.framework" && p.Version.Major == 1 {
			return map[byte]string{
				0: "2.1.1", 1: "2.2.0", 2: "2.2.1", 3: "2.2.2", 4: "3.0.1", 5: "3.0.4", 6: "3.0.5", 8: "3.1.0", 9: "3.2.0",
			}[p.Version.Minor]
		}
	}
	return ""
}

// globalPlatform is the version of GlobalPlatform that first has a version of
// org.globalplatform, "" where the package is not imported.
func globalPlatform(imports []Package) string {
	for _, p := range imports {
		if p.Name == "org.globalplatform" && p.Version.Major == 1 {
			return map[byte]string{0: "2.1.1", 1: "2.2", 2: "2.2", 3: "2.2.1", 4: "2.2.1", 5: "2.2.1", 6: "2.3", 7: "2.3.1"}[p.Version.Minor]
		}
	}
	return ""
}
