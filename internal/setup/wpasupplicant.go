package setup

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
)

// wpaSupplicant has wpa_supplicant log in to networks with the key, by EAP-TLS: wireless
// ones, or the wired one (IEEE 802.1X). wpa_supplicant.conf(5) has the format.
func wpaSupplicant() target {
	return target{
		name:    "wpa-supplicant",
		needs:   []program{{names: []string{"wpa_supplicant"}, pack: "wpasupplicant"}, opensslEngine()},
		machine: true,
		accepts: []Option{advice.System, advice.CA, advice.URL, advice.AllowTLS12},
		plan:    planWPA,
		check:   checkWPA,
	}
}

// wpaDir is where Debian has the configurations of wpa_supplicant.
const wpaDir = "/etc/wpa_supplicant"

func planWPA(ctx context.Context, j *job) (plan, error) {
	w, err := newWPA(ctx, j)
	if err != nil {
		return plan{}, err
	}
	return j.planWPA(w), nil
}

func (j *job) planWPA(w *wpaConfiguration) plan {
	authorities := ""
	for _, authority := range j.CA {
		authorities += inPEM(authority)
	}
	dir, service := j.Root+wpaDir, "wpa_supplicant-wired"
	if len(w.ssids) > 0 {
		service = "wpa_supplicant"
	}
	p := j.opensslForUnit(service+"@.service", opensslconf.Additions{TLS12: w.lower})
	p.entries = append([]entry{
		&file{Path: dir + "/cardctl.conf", Mode: 0o600, Whole: &whole{w.text(nil)}},
		&file{Path: w.authorities, Mode: 0o644, Public: true, Whole: &whole{authorities}},
	}, p.entries...)
	link, restart := dir+"/"+service+"-INTERFACE.conf", "systemctl restart "+service+"@INTERFACE"
	p.next = slices.Concat([]string{"ln -s cardctl.conf " + link}, p.next, []string{restart, "wpa_cli -i INTERFACE"})
	p.undone = slices.Concat([]string{"rm " + link}, p.undone, []string{restart})
	p.notes = append(p.notes,
		"The identity in the network is that of the certificate: "+w.identity,
		"If wpa_cli asks for a PIN or a passphrase, type \"pin 0 PIN\".",
		"wpa_supplicant sends a wrong PIN again every minute, until the card is blocked. If the PIN was wrong, type \"disconnect\" at once.",
	)
	return p
}

// mayWPA refuses what is wrong with the options, before the key is asked.
func (j *job) mayWPA() error {
	if err := j.asRoot(); err != nil {
		return err
	}
	if len(j.CA) == 0 {
		return problem.New(problem.Usage, "no CA of the network is named").
			Because("wpa_supplicant would log in to any network that uses the name.").Advise(advice.Repeat(advice.Fill(advice.CA)))
	}
	for _, ssid := range j.URLs {
		const longest = 32 // bytes, IEEE 802.11
		if ssid == "" || len(ssid) > longest {
			return problem.New(problem.Usage, "not the name of a wireless network: %q", ssid).
				Because("A name (SSID) has 1 to %d bytes.", longest).Advise(advice.Repeat(advice.Fill(advice.URL)))
		}
	}
	return nil
}

// forNetworks refuses a key that wpa_supplicant cannot use, whatever its TLS is.
func (j *job) forNetworks(ctx context.Context) error {
	if err := j.certified("wpa_supplicant"); err != nil {
		return err
	}
	if err := j.key.AskedOnce(ctx, "wpa_supplicant"); err != nil {
		return err
	}
	return wpaLoads(j.key.module)
}

// wpaLoads refuses a module that wpa_supplicant does not load: since CVE-2024-5290, Debian
// allows no other place.
func wpaLoads(module string) error {
	path, err := filepath.EvalSymlinks(module)
	if err == nil && strings.HasPrefix(path, "/usr/lib") && !strings.ContainsAny(module, "\"#\n") {
		return nil
	}
	return problem.New(problem.NotSupported, "wpa_supplicant does not load %s", module).
		Because("It loads only modules in /usr/lib.").Advise(advice.Repeat(advice.Fill(advice.Module)))
}

// enginePath is the file of OpenSSL's engine.
func enginePath() (string, error) {
	engine := opensslEngine()
	found, err := filepath.Glob(engine.files)
	if err != nil || len(found) == 0 {
		return "", engine.required()
	}
	return found[0], nil
}

// identityOf is the name that whoever has a certificate gives to the network before the
// handshake. Servers route by it, and compare it with the certificate: Windows with the
// user principal name, FreeRADIUS with what is in check_cert_cn, others with the address.
func identityOf(c *cert.Certificate, ref string) (string, error) {
	for _, name := range c.AltNames {
		if upn := name.PrincipalName(); upn != "" {
			return upn, nil
		}
	}
	for _, name := range c.AltNames {
		if name.Kind == cert.EmailName && len(name.Value) > 0 {
			return string(name.Value), nil
		}
	}
	if common := c.Subject.CommonName(); common != "" {
		return common, nil
	}
	return "", problem.New(problem.NotSupported, "the certificate of %s names nobody", ref).
		Because("A network asks for a name: a UPN, an e-mail address or a common name.").
		Advise(advice.Do(advice.CreateRequest, advice.Set(advice.Key, ref), advice.Fill(advice.Subject)))
}

// wpaConfiguration is a configuration of wpa_supplicant for a key.
type wpaConfiguration struct {
	module, engine        string
	key, certificate      string // URIs
	identity, authorities string
	// ssids are the wireless networks; none for the wired one.
	ssids []string
	// lower keeps TLS at 1.2.
	lower bool
}

func newWPA(ctx context.Context, j *job) (*wpaConfiguration, error) {
	if err := j.mayWPA(); err != nil {
		return nil, err
	}
	if err := j.forNetworks(ctx); err != nil {
		return nil, err
	}
	w := &wpaConfiguration{
		module: j.key.module, key: j.key.known.URI, certificate: j.certificateURI(),
		authorities: j.Root + wpaDir + "/cardctl-ca.pem", ssids: j.URLs,
	}
	var err error
	if w.lower, err = j.forTLS(ctx, "wpa_supplicant", smoke.OpenSSL); err != nil {
		return nil, err
	}
	if err := j.tellDriver(ctx); err != nil {
		return nil, err
	}
	if w.identity, err = identityOf(j.key.certificate, j.key.Ref); err != nil {
		return nil, err
	}
	w.engine, err = enginePath()
	return w, err
}

// wpaControl lets wpa_cli reach wpa_supplicant, as Debian's service does.
const wpaControl = "ctrl_interface=DIR=/run/wpa_supplicant GROUP=netdev\n"

// text is the configuration. With a PIN it is for one network, which nobody else controls.
func (w *wpaConfiguration) text(pin []byte) string {
	text := fmt.Sprintf("# Written by cardctl setup wpa-supplicant.\npkcs11_engine_path=%s\npkcs11_module_path=%s\n", w.engine, w.module)
	if pin == nil {
		text += wpaControl
	}
	more := ""
	if w.lower {
		more = "\tphase1=\"tls_disable_tlsv1_3=1\"\n"
	}
	if pin != nil {
		more += "\tpin=" + wpaString(string(pin)) + "\n"
	}
	networks := []string{"\tkey_mgmt=IEEE8021X\n\teapol_flags=0\n"}
	if len(w.ssids) > 0 {
		networks = nil
		for _, ssid := range w.ssids {
			networks = append(networks, "\tssid="+wpaString(ssid)+"\n\tkey_mgmt=WPA-EAP WPA-EAP-SHA256\n\tieee80211w=1\n")
		}
	}
	for _, network := range networks {
		text += fmt.Sprintf("network={\n%s\teap=TLS\n\tidentity=%s\n\tca_cert=%s\n\tclient_cert=%s\n\tprivate_key=%s\n%s}\n",
			network, wpaString(w.identity), wpaString(w.authorities), wpaString(w.certificate), wpaString(w.key), more)
	}
	return text
}

// wpaString is a value of wpa_supplicant: in quotes, which nothing ends before the last one
// in the line, or in hex.
func wpaString(value string) string {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return hex.EncodeToString([]byte(value))
	}
	return `"` + value + `"`
}
