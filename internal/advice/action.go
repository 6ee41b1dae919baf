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
	SetManagementKey
	GenerateKey
	CreateRequest
	ExportKey
	ImportCertificate
	DeleteCertificate
	ListApplets
	SetCardKeys
	UnlockCard
	ListSimulated
	AttachSimulated
	RunOpenVPN
	SetUp
	StartAgent
	CreateCA
	ShowCA
	ListIssued
	IssueCertificate
	Enroll
	Provision
	ListCards
	ShowLedger
	MigrateLedger
)
