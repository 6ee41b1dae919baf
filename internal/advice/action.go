package advice

// Action is something that cardctl does.
type Action int

// The actions that advice may name. Again is what was just done.
const (
	None Action = iota
	Again
	Help // of what was just done
	ShowCard
	ListReaders
	ListTokens
	Diagnose
	Initialise
	SetPIN
	UnblockPIN
	GenerateKey
	ImportKey
	DeleteKey
	ExportKey
	CreateRequest
	ImportCertificate
	ExportCertificate
	DeleteCertificate
	SmokeTest
	ListApplets
	InspectPackage
	InstallApplet
	DeleteApplet
	SetCardKeys
	ListSimulated
	CreateSimulated
	AttachSimulated
	DeleteSimulated
	ShowVersion
	actions // their number
)

// Actions are all actions but None.
func Actions() []Action {
	all := make([]Action, 0, actions-1)
	for a := Again; a < actions; a++ {
		all = append(all, a)
	}
	return all
}
