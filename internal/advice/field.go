package advice

// Field names a value that an action is given, in lower case with hyphens. The
// names of secrets are fields too.
type Field string

// The fields that advice may name besides those of secrets.
const (
	Reader  Field = "reader"
	Serial  Field = "serial"
	Module  Field = "module"
	App     Field = "app"
	Key     Field = "key"
	KeyID   Field = "id"
	Token   Field = "token"
	Yes     Field = "yes"
	NoInput Field = "no-input"
	Timeout Field = "timeout"
	Verbose Field = "verbose"
	Wait    Field = "wait"
	Output  Field = "output"
	Format  Field = "format"
	Label   Field = "label"
	Name    Field = "name"
	Usage   Field = "usage"
	Replace Field = "replace"
	LastTry Field = "allow-last-try"
	NoCount Field = "allow-unknown-tries"
	Expired Field = "allow-expired"
	Factory Field = "factory-pins"
	CA      Field = "ca"
	Address Field = "address"
	TLSPeer Field = "tls-connect"

	PublicKey   Field = "public-key"
	PINPolicy   Field = "pin-policy"
	TouchPolicy Field = "touch"

	Algorithm Field = "algorithm"

	Subject     Field = "subject"
	Days        Field = "days"
	DNS         Field = "dns"
	IP          Field = "ip"
	Digest      Field = "digest"
	PSS         Field = "pss"
	KeyUsage    Field = "key-usage"
	ExtKeyUsage Field = "ext-key-usage"

	Domain        Field = "isd"
	SecurityLevel Field = "security-level"
	KeyVersion    Field = "key-version"
	KeysFile      Field = "keys-file"
	Generate      Field = "generate"
	RetryKeys     Field = "retry-keys"
	Applet        Field = "applet"
	Instance      Field = "instance"
	WithApplets   Field = "with-applets"
	LoadHash      Field = "load-hash"
	AnyChallenge  Field = "accept-random-challenge"
	RawParameters Field = "raw-parameters"
	LoadOnly      Field = "load-only"
	Package       Field = "package"
	Target        Field = "to"
	BlockSize     Field = "block-size"
)
