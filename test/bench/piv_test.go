//go:build stack

package bench

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// The secrets of a PIV card from the factory, and those that the jobs set.
const (
	pivPIN           = "123456"
	pivPUK           = "12345678"
	pivManagementKey = "010203040506070801020304050607080102030405060708"
	newManagementKey = "A1B2C3D4E5F607182938475665748392ABCDEF0123456789"

	// pivCertificate is what a certificate has, in bytes, give or take what signatures
	// differ in.
	pivCertificate = 480
	// triesToBlock are those of the PIN and the PUK of a card from the factory.
	triesToBlock = 3 + 3
	// retiredSlots are those that info asks for too.
	retiredSlots = 20
)

// What is promised of the profile without extended length.
const (
	pivWay      = "init of a card from the factory, gen-key, gen-csr, import-cert"
	pivWayLimit = 54
)

// Jobs that more than one program does.
const (
	fresh      = "init of a card from the factory"
	used       = "init, one key and certificate, blocks PIN and PUK"
	usedOfFour = "init, four keys and certificates, blocks PIN and PUK"
	infoOfFour = "info, four keys and certificates"
)

// pivJobs are the rows of the table, in the order in which a desk does them.
var pivJobs = []struct {
	name  string
	limit int
}{
	{fresh, 0},
	{"gen-key", 8},
	{"gen-csr", 6},
	{"import-cert", 14},
	{"import-cert --keep-chuid", 11},
	{"attest", 9},
	{"set-pin", 4},
	{"set-management-key", 8},
	{used, 28 + triesToBlock},
	{infoAlone, 26 + retiredSlots},
	{infoOfFour, 26 + retiredSlots + 32},
	{usedOfFour, 28 + triesToBlock},
}

// pivDesk is a desk with a PIV card on a wire.
type pivDesk struct {
	*stack.Desk
	t    *testing.T
	wire *stack.Wire
	ca   *stack.Authority

	profile string
	counts  map[string]stack.Count
}

func newPIVDesk(t *testing.T, profile string) *pivDesk {
	d := stack.NewDesk(t)
	_, wire := d.WiredCard("piv", 0, "--applications", "piv", "--profile", profile)
	d.Setenv("CARDCTL_PIN", pivPIN)
	d.Setenv("CARDCTL_PUK", pivPUK)
	d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
	d.Setenv("NEW", newManagementKey)
	d.Setenv("NEW_PIN", "246813")
	return &pivDesk{d, t, wire, d.Authority(), profile, map[string]stack.Count{}}
}

// count does a job, if the program has a way to.
func (d *pivDesk) count(job string, do func()) {
	d.t.Helper()
	before := d.wire.Count()
	do()
	d.counts[job] = d.wire.Count().Sub(before)
	if d.counts[job].APDUs == 0 {
		d.t.Errorf("%s: nothing reached the card", job)
	}
}

// certify makes certificate.pem, of the promised length, for the key in public.pem.
func (d *pivDesk) certify() {
	d.t.Helper()
	length := 0
	for padding := 1; length < pivCertificate-2; padding += max(1, pivCertificate-length-8) {
		d.ca.Certify("public.pem", "/CN=Floppy Head"+units(padding), "certificate.pem")
		length = len(stack.ParseCertificate(d.t, d.Read("certificate.pem")).Raw)
	}
	if length > pivCertificate+8 {
		d.t.Errorf("a certificate of %d bytes", length)
	}
}

// units are as many as the padding takes: each has so many characters at most (X.520).
func units(padding int) (names string) {
	const most = 64
	for ; padding > 0; padding -= most {
		names += fmt.Sprintf("/OU=%0*d", min(padding, most), 0)
	}
	return names
}

// byCardctl does all jobs.
func (d *pivDesk) byCardctl(told ...string) {
	run := func(args ...string) { d.Run("cardctl", args...) }
	key := []string{"--key", "PIV.9A", "--algorithm", "p256", "--out", "public.pem"}
	d.count(fresh, func() {
		run("init", "--app", "piv", "--yes", "--current-management-key", "default", "--factory-pins")
	})
	if len(told) > 0 {
		key = append(key, "--replace", "unknown")
	}
	d.count("gen-key", func() { run(append([]string{"gen-key"}, key...)...) })
	d.count("gen-csr", func() {
		run(append([]string{"gen-csr", "--key", "PIV.9A", "--subject", subject, "--out", "piv.csr"}, told...)...)
	})
	d.certify()
	d.count("import-cert", func() { run(append([]string{"import-cert", "--key", "PIV.9A", "certificate.pem"}, told...)...) })
	run("delete-cert", "--key", "PIV.9A", "--yes")
	d.count("import-cert --keep-chuid", func() {
		run(append([]string{"import-cert", "--key", "PIV.9A", "certificate.pem", "--keep-chuid"}, told...)...)
	})
	d.count("set-pin", func() { run("set-pin", "user", "--app", "piv", "--new-pin", "env:NEW_PIN") })
	if d.profile != "piv-nist" {
		d.count("attest", func() { run("attest", "--key", "PIV.9A") })
		d.count("set-management-key", func() { run("set-management-key", "--new-management-key", "env:NEW") })
		d.count(used, func() { run("init", "--app", "piv", "--yes", "--factory-pins") })
	}
	for _, slot := range []string{"9A", "9C", "9D", "9E"} {
		more := []string{"gen-key", "--key", "PIV." + slot, "--algorithm", "p256", "--out", slot + ".pem"}
		if len(told) > 0 {
			more = append(more, "--replace", "unknown")
		}
		if slot == "9A" && d.profile == "piv-nist" {
			run("delete-cert", "--key", "PIV.9A", "--yes")
		}
		run(more...)
		d.Run("mv", slot+".pem", "public.pem")
		d.certify()
		run(append([]string{"import-cert", "--key", "PIV." + slot, "certificate.pem"}, told...)...)
	}
	d.count(infoAlone, func() { run("info", "--reader", stack.ReaderName(0), "--module", noModule) })
	d.count(infoOfFour, func() { run("info") })
	if d.profile != "piv-nist" {
		d.count(usedOfFour, func() { run("init", "--app", "piv", "--yes", "--factory-pins") })
	}
}

// byYkman does those that it can.
func (d *pivDesk) byYkman() {
	run := func(args ...string) {
		d.Run("ykman", append([]string{"--reader", stack.ReaderName(0), "piv"}, args...)...)
	}
	d.count("gen-key", func() { run("keys", "generate", "-m", pivManagementKey, "-a", "ECCP256", "9A", "public.pem") })
	d.count("gen-csr", func() { run("certificates", "request", "-P", pivPIN, "-s", subject, "9A", "public.pem", "piv.csr") })
	d.certify()
	d.count("import-cert", func() {
		run("certificates", "import", "-m", pivManagementKey, "-P", pivPIN, "--verify", "9A", "certificate.pem")
	})
	d.count("import-cert --keep-chuid", func() {
		run("certificates", "import", "-m", pivManagementKey, "-P", pivPIN, "--verify", "--no-update-chuid", "9A", "certificate.pem")
	})
	d.count("attest", func() { run("keys", "attest", "9A", "attestation.pem") })
	d.count("set-pin", func() { run("access", "change-pin", "-P", pivPIN, "-n", "246813") })
	d.count("set-management-key", func() { run("access", "change-management-key", "-m", pivManagementKey, "-n", newManagementKey, "-f") })
	for _, slot := range []string{"9C", "9D", "9E"} {
		run("keys", "generate", "-m", newManagementKey, "-a", "ECCP256", slot, "public.pem")
		d.certify()
		run("certificates", "import", "-m", newManagementKey, slot, "certificate.pem")
	}
	d.count(infoOfFour, func() { run("info") })
	d.count(usedOfFour, func() { run("reset", "-f") })
}

// byYubicoTool does those that it can.
func (d *pivDesk) byYubicoTool() {
	run := func(args ...string) {
		d.Run("yubico-piv-tool", append([]string{"--reader", stack.ReaderName(0)}, args...)...)
	}
	d.count("gen-key", func() { run("-a", "generate", "-s", "9a", "-A", "ECCP256", "-o", d.Path("public.pem")) })
	d.certify()
	d.count("import-cert --keep-chuid", func() { run("-a", "import-certificate", "-s", "9a", "-i", d.Path("certificate.pem")) })
	d.count("attest", func() { run("-a", "attest", "-s", "9a", "-o", d.Path("attestation.pem")) })
	d.count("set-pin", func() { run("-a", "change-pin", "-P", pivPIN, "-N", "246813") })
	d.count("set-management-key", func() { run("-a", "set-mgm-key", "-n", newManagementKey) })
	for _, slot := range []string{"9c", "9d", "9e"} {
		run("--key="+newManagementKey, "-a", "generate", "-s", slot, "-A", "ECCP256", "-o", d.Path("public.pem"))
		d.certify()
		run("--key="+newManagementKey, "-a", "import-certificate", "-s", slot, "-i", d.Path("certificate.pem"))
	}
	d.count(infoOfFour, func() { run("-a", "status") })
}

// pivColumns are cards and programs; the limits are those of the first.
var pivColumns = []struct {
	name, profile string
	do            func(*pivDesk)
}{
	{"cardctl", "piv-short-apdus", func(d *pivDesk) { d.byCardctl() }},
	{"ykman", "piv-short-apdus", (*pivDesk).byYkman},
	{"yubico-piv-tool", "piv-short-apdus", (*pivDesk).byYubicoTool},
	{"cardctl, extended length", "piv-yubikey-5", func(d *pivDesk) { d.byCardctl() }},
	{"cardctl, 5.7", "piv-yubikey-5.7", func(d *pivDesk) { d.byCardctl() }},
	{"cardctl, 4.3", "piv-yubikey-4", func(d *pivDesk) { d.byCardctl() }},
	{"cardctl, without Yubico's commands", "piv-nist", func(d *pivDesk) { d.byCardctl("--public-key", "public.pem") }},
}

// TestPIVRoundTrips counts APDUs on PIV cards, for cardctl and Yubico's programs.
func TestPIVRoundTrips(t *testing.T) {
	counts := make([]map[string]stack.Count, len(pivColumns))
	for i, column := range pivColumns {
		t.Run(column.name, func(t *testing.T) {
			d := newPIVDesk(t, column.profile)
			column.do(d)
			counts[i] = d.counts
		})
	}
	if t.Failed() {
		return
	}
	var table table
	d := stack.NewDesk(t)
	header := []string{"job on a PIV card, P-256", "at most"}
	for _, column := range pivColumns {
		switch column.name {
		case "ykman":
			header = append(header, versioned(t, d, column.name, "ykman", "--version"))
		case "yubico-piv-tool":
			header = append(header, versioned(t, d, column.name, "yubico-piv-tool", "--version"))
		default:
			header = append(header, column.name)
		}
	}
	table.row(header...)
	way := stack.Count{}
	for i, job := range pivJobs {
		ours := counts[0][job.name]
		if i < 4 {
			way = way.Add(ours)
		}
		table.row(pivRow(job.name, job.limit, counts)...)
		if job.limit != 0 && ours.APDUs > job.limit {
			t.Errorf("%s: %d APDUs, the limit is %d", job.name, ours.APDUs, job.limit)
		}
	}
	table.row(append([]string{pivWay, strconv.Itoa(pivWayLimit), cell(way)}, "–", "–", "–", "–", "–", "–")...)
	if way.APDUs > pivWayLimit {
		t.Errorf("%s: %d APDUs, the limit is %d", pivWay, way.APDUs, pivWayLimit)
	}
	table.note = "The first three columns are on a YubiKey 5.4 without extended length, with a certificate of about 480 bytes. ykman imports with `--verify`,\n" +
		"and its `reset` blocks PIN and PUK as `init` does. yubico-piv-tool compares nothing, and does not block the PINs before its `reset`."
	table.publish(t)
}

func pivRow(job string, limit int, counts []map[string]stack.Count) []string {
	most := "–"
	if limit != 0 {
		most = strconv.Itoa(limit)
	}
	row := []string{job, most}
	for _, column := range counts {
		row = append(row, cell(column[job]))
	}
	return row
}
