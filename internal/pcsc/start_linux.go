package pcsc

const startHint = "systemctl start pcscd.socket (or, without systemd, run pcscd as root)"
