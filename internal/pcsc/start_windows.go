package pcsc

const startHint = "net start SCardSvr (as administrator)"
