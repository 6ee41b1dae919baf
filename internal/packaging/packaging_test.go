package packaging

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/rand/v2"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// structure is a SEQUENCE of a length that needs padding in base64.
func structure(seed uint64, size int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	der := []byte{0x30, 0x82, byte(size >> 8), byte(size)}
	for range size {
		der = append(der, byte(random.IntN(256)))
	}
	return der
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func utf16Of(text string, big, mark bool) []byte {
	if mark {
		text = "\uFEFF" + text
	}
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if big {
			out = append(out, byte(unit>>8), byte(unit))
		} else {
			out = append(out, byte(unit), byte(unit>>8))
		}
	}
	return out
}

func TestPackagingsAreOpened(t *testing.T) {
	const size = 600
	first, second := structure(1, size), structure(2, size+1)
	one, two := pemOf(first), pemOf(second)
	lines := func(text, prefix string) string {
		return prefix + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+prefix) + "\n"
	}
	encoded := base64.StdEncoding.EncodeToString(first)
	for name, test := range map[string]struct {
		data []byte
		both bool
	}{
		"PEM":                              {[]byte(one), false},
		"two blocks":                       {[]byte(one + two), true},
		"a byte-order mark":                {[]byte("\xEF\xBB\xBF" + one), false},
		"UTF-16, little-endian":            {utf16Of(one, false, true), false},
		"UTF-16, big-endian":               {utf16Of(one, true, true), false},
		"UTF-16 without a mark":            {utf16Of(one, false, false), false},
		"UTF-16, big-endian, without mark": {utf16Of(one, true, false), false},
		"UTF-16 with lines of Windows":     {utf16Of(strings.ReplaceAll(one+two, "\n", "\r\n"), false, true), true},
		"lone CR":                          {[]byte(strings.ReplaceAll(one+two, "\n", "\r")), true},
		"lines of Windows":                 {[]byte(strings.ReplaceAll(one, "\n", "\r\n")), false},
		"indented":                         {[]byte(lines(one+two, "    ")), true},
		"indented by tabs, in YAML":        {[]byte("cert: |\n" + lines(one, "\t")), false},
		"in one line":                      {[]byte(strings.ReplaceAll(one+two, "\n", " ")), true},
		"in one line without blanks":       {[]byte(strings.ReplaceAll(one+two, "\n", "")), true},
		`\n written out`:                   {[]byte(strings.ReplaceAll(one+two, "\n", `\n`)), true},
		`\r\n written out`:                 {[]byte(strings.ReplaceAll(one, "\n", `\r\n`)), false},
		`\\n written out`:                  {[]byte(strings.ReplaceAll(one, "\n", `\\n`)), false},
		"JSON":                             {[]byte(`{"cert":"` + strings.ReplaceAll(one, "\n", `\n`) + `","ca":"` + strings.ReplaceAll(strings.ReplaceAll(two, "/", `\/`), "\n", `\n`) + `"}`), true},
		"JSON, escaped":                    {[]byte(`{"cert":"` + strings.ReplaceAll(strings.ReplaceAll(one, "+", `\u002b`), "\n", `\n`) + `"}`), false},
		"quoted by a mail program":         {[]byte("On Monday Floppy wrote:\n" + lines(one+two, "> ")), true},
		"quoted twice":                     {[]byte(lines(one, ">> ")), false},
		"quoted-printable":                 {[]byte(strings.ReplaceAll(one, "=", "=3D")), false},
		"quoted-printable, broken lines":   {[]byte(strings.ReplaceAll(strings.ReplaceAll(one, "=", "=3D"), "\n", "=\n\n")), false},
		"web page":                         {[]byte("<pre>" + strings.ReplaceAll(one, "\n", "<br/>\n") + "</pre>"), false},
		"URL":                              {[]byte(url.PathEscape(one)), false},
		"no line end between two blocks":   {[]byte(strings.TrimSuffix(one, "\n") + two), true},
		"no line end at the end":           {[]byte(strings.TrimSuffix(one, "\n")), false},
		"a sentence with the marker":       {[]byte("Copy all from -----BEGIN CERTIFICATE----- to the end:\n" + one), false},
		"a sentence with both markers":     {[]byte("Copy -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, please.\n" + one), false},
		"a sentence with half a marker":    {[]byte("It begins with \"-----BEGIN \" and so on.\n" + one), false},
		"headers":                          {[]byte(strings.Replace(one, "-----\n", "-----\nX-Name: Floppy\nX-Other: Head\n\n", 1)), false},
		"lines of 76":                      {[]byte("-----BEGIN CERTIFICATE-----\n" + strings.Join(slices.Collect(chunks(encoded, 76)), "\n") + "\n-----END CERTIFICATE-----"), false},
		"no padding":                       {[]byte("-----BEGIN CERTIFICATE-----\n" + strings.TrimRight(encoded, "=") + "\n-----END CERTIFICATE-----"), false},
		"base64":                           {[]byte(encoded), false},
		"base64 in lines":                  {[]byte(strings.Join(slices.Collect(chunks(encoded, 64)), "\r\n")), false},
		"base64 in UTF-16":                 {utf16Of(encoded, false, true), false},
		"base64 in quotes":                 {[]byte(`MII` + encoded[3:] + "\n"), false},
		"two in base64":                    {[]byte(encoded + "\n\n" + base64.StdEncoding.EncodeToString(second)), true},
		"hex":                              {[]byte(hex.EncodeToString(first)), false},
		"hex with colons":                  {[]byte(strings.Join(slices.Collect(chunks(hex.EncodeToString(first), 2)), ":")), false},
		"bytes":                            {first, false},
		"base64 for URLs":                  {[]byte(base64.RawURLEncoding.EncodeToString(first)), false},
		"base64 for URLs, padded":          {[]byte(base64.URLEncoding.EncodeToString(first) + "\n"), false},
		"PEM in base64":                    {[]byte(base64.StdEncoding.EncodeToString([]byte(one + two))), true},
		"PEM in lines of base64":           {[]byte(strings.Join(slices.Collect(chunks(base64.StdEncoding.EncodeToString([]byte(one+two)), 76)), "\n") + "\n"), true},
		"a secret of Kubernetes":           {[]byte("kind: Secret\ndata:\n  ca.crt: " + base64.StdEncoding.EncodeToString([]byte(one)) + "\n  tls.crt: " + base64.StdEncoding.EncodeToString([]byte(two)) + "\n"), true},
	} {
		t.Run(name, func(t *testing.T) {
			got := Open(test.data)
			want := [][]byte{first}
			if test.both {
				want = append(want, second)
			}
			if got.Damaged != 0 || len(got.Blocks) != len(want) {
				t.Fatalf("%d blocks and %d damaged, want %d", len(got.Blocks), got.Damaged, len(want))
			}
			for i, b := range got.Blocks {
				if !bytes.Equal(b.Bytes, want[i]) {
					t.Errorf("block %d (%s) has %d bytes, want %d", i+1, b.Label, len(b.Bytes), len(want[i]))
				}
			}
		})
	}
}

func chunks(text string, size int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for part := range slices.Chunk([]byte(text), size) {
			if !yield(string(part)) {
				return
			}
		}
	}
}

func TestDamagedBlocksAreCounted(t *testing.T) {
	whole := pemOf(structure(1, 600))
	for name, test := range map[string]struct {
		text          string
		read, damaged int
	}{
		"cut off":                 {whole[:300], 0, 1},
		"cut off in one line":     {strings.ReplaceAll(whole, "\n", " ")[:300], 0, 1},
		"the second is cut off":   {whole + whole[:300], 1, 1},
		"rubbish in a block":      {"-----BEGIN CERTIFICATE-----\n§\n-----END CERTIFICATE-----\n" + whole, 1, 1},
		"an empty block":          {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 0, 1},
		"two labels":              {strings.Replace(whole, "END CERTIFICATE", "END KEY", 1), 0, 1},
		"a foreign letter inside": {strings.Replace(whole, "\n", "\n§", 3), 0, 1},
	} {
		got := Open([]byte(test.text))
		if len(got.Blocks) != test.read || got.Damaged != test.damaged || !got.PEM {
			t.Errorf("%s: %d read, %d damaged, PEM %t", name, len(got.Blocks), got.Damaged, got.PEM)
		}
	}
}

func TestNames(t *testing.T) {
	for data, want := range map[string]string{
		"\xFE\xED\xFE\xED\x00\x00\x00\x02":            "a Java keystore (JKS)",
		"\xCE\xCE\xCE\xCE\x00\x00\x00\x02":            "a Java keystore (JCEKS)",
		"PuTTY-User-Key-File-3: ssh-ed25519\r\n":      "a key of PuTTY",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@example": "an SSH public key",
		"\x1F\x8B\x08\x00":                            "data compressed with gzip",
		"<!DOCTYPE html><html>":                       "a web page",
		"hello":                                       "text that is not PEM",
		"\x7FELF\xFF\xFE\x00":                         "data of an unknown kind",
	} {
		if got := Name([]byte(data)); got.Name != want {
			t.Errorf("%q: %s, want %s", data, got.Name, want)
		}
		if c := Open([]byte(data)); len(c.Blocks) != 0 || c.PEM {
			t.Errorf("%q is opened", data)
		}
	}
	if next := Name([]byte("\xFE\xED\xFE\xED")).Next; !slices.Contains(next.Program, "keytool") {
		t.Errorf("%v", next)
	}
}

// TestHostileFiles holds time and memory for a mebibyte.
func TestHostileFiles(t *testing.T) {
	const size, most, memory = 1 << 20, 2 * time.Second, 40 << 20
	small := "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
	for name, text := range map[string]string{
		"small blocks":        strings.Repeat(small, size/len(small)),
		"beginnings":          strings.Repeat("-----BEGIN A-----\n", size/18),
		"beginnings and ends": strings.Repeat("-----BEGIN A----------END A-----", size/32),
		"one long block":      "-----BEGIN A-----\n" + strings.Repeat("MAAA", size/4-20) + "\n-----END A-----",
		"headers":             "-----BEGIN A-----\n" + strings.Repeat("a:\n", size/3-20) + "\n-----END A-----",
		"escapes":             "-----BEGIN A-----" + strings.Repeat(`\`, size-60) + "-----END A-----",
		"base64":              strings.Repeat("MAAA", size/4),
		"base64 in parts":     strings.Repeat("MAA=\n", size/5),
		"line ends":           "M" + strings.Repeat("\n", size-40) + strings.Repeat("A", 39),
		"hex":                 strings.Repeat("30", size/2),
		"PEM in base64":       strings.Repeat("LS0tLS1CRUdJTiBB ", size/17),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		c := Open([]byte(text))
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if took > most {
			t.Errorf("%s: %s", name, took)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > memory {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
		runtime.KeepAlive(c)
	}
}

func FuzzOpen(f *testing.F) {
	one := pemOf(structure(1, 40))
	f.Add([]byte(one))
	f.Add(utf16Of(one, false, true))
	f.Add([]byte(strings.ReplaceAll(one, "\n", `\n`)))
	f.Add([]byte(base64.StdEncoding.EncodeToString(structure(1, 40))))
	f.Add([]byte("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMAAA\n-----END A-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Open(data)
		if c.PEM != (len(c.Blocks)+c.Damaged > 0 && bytes.Contains(asOpened(data), begin)) && c.PEM {
			t.Errorf("%d blocks, %d damaged, PEM %t", len(c.Blocks), c.Damaged, c.PEM)
		}
		for _, b := range c.Blocks {
			if len(b.Bytes) == 0 {
				t.Error("an empty block")
			}
		}
		// What encoding/pem reads is read here too.
		if block, _ := pem.Decode(data); block != nil && len(block.Bytes) > 0 && len(block.Headers) == 0 && plain(block.Type) {
			if !slices.ContainsFunc(c.Blocks, func(b Block) bool { return b.Label == block.Type && bytes.Equal(b.Bytes, block.Bytes) }) {
				t.Errorf("a block of type %q is not found", block.Type)
			}
		}
		c.Wipe()
		Name(data)
	})
}

func asOpened(data []byte) []byte {
	text := Text(data)
	if plain, err := url.PathUnescape(string(text)); err == nil && !bytes.Contains(text, begin) {
		return []byte(plain)
	}
	return text
}

// plain is a label as RFC 7468 has it.
func plain(label string) bool {
	return label != "" && !strings.ContainsFunc(label, func(r rune) bool { return (r < 'A' || r > 'Z') && r != ' ' }) && strings.TrimSpace(label) == label && len(label) < 40
}
