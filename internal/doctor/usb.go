package doctor

import (
	"context"
	"io/fs"
	"path"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gnupg"
)

const (
	usbDevices = "sys/bus/usb/devices"

	// smartCardClass is bInterfaceClass of a CCID reader (USB device class
	// specification for integrated circuit card devices, 4.3).
	smartCardClass = "0b"

	ccidDriver = "usr/lib/pcsc/drivers/ifd-ccid.bundle"
)

// usbReader is a USB device with a smart card interface.
type usbReader struct {
	manufacturer, product string
	id                    string // vendor:product
}

func (r usbReader) String() string {
	return strings.TrimSpace(r.manufacturer+" "+r.product) + " [" + r.id + "]"
}

func (e *examination) usbReaders(context.Context) Check {
	check := Check{Name: "usb-readers", Result: Pass}
	if e.probe.OS != "linux" || !e.exists(usbDevices) {
		check.Result, check.Detail = Skip, "this system does not list USB devices"
		return check
	}
	devices := e.usbDevices()
	if len(devices) == 0 {
		check.Detail = "no USB device has a smart card interface"
		return check
	}
	var without []string
	for _, d := range devices {
		if !e.served(d) {
			without = append(without, d.String())
		}
	}
	switch {
	case len(without) == 0:
		check.Detail = "the PC/SC service serves every USB reader"
	case !e.reached:
		check.Result, check.Detail = Skip, "connected, but there is no PC/SC service: "+strings.Join(without, "; ")
	case !e.exists(ccidDriver):
		check.Result, check.Detail = Fail, "no driver for: "+strings.Join(without, "; ")
		check.Next = advice.Run("apt", "install", "libccid")
	case e.takenByScdaemon():
		check.Result, check.Detail = Fail, "GnuPG's card daemon drives a USB reader itself; not among the PC/SC readers: "+strings.Join(without, "; ")
		check.Next = releaseByScdaemon()
	default:
		check.Result, check.Detail = Warn, "connected, but not among the PC/SC readers, and may need its maker's driver: "+strings.Join(without, "; ")
		check.Next = advice.Run("systemctl", "restart", "pcscd")
	}
	return check
}

func (e *examination) takenByScdaemon() bool {
	pid, ok := e.running(gnupg.CardDaemon)
	return ok && e.drivesUSB(pid)
}

func (e *examination) usbDevices() []usbReader {
	entries, err := fs.ReadDir(e.probe.Root, usbDevices)
	if err != nil {
		return nil
	}
	var list []usbReader
	seen := map[string]bool{}
	for _, entry := range entries {
		// 1-4:1.0 is the first interface of the device 1-4.
		device, _, isInterface := strings.Cut(entry.Name(), ":")
		if !isInterface || seen[device] || e.attribute(entry.Name(), "bInterfaceClass") != smartCardClass {
			continue
		}
		seen[device] = true
		list = append(list, usbReader{
			manufacturer: e.attribute(device, "manufacturer"),
			product:      e.attribute(device, "product"),
			id:           e.attribute(device, "idVendor") + ":" + e.attribute(device, "idProduct"),
		})
	}
	return list
}

func (e *examination) attribute(device, name string) string {
	b, err := fs.ReadFile(e.probe.Root, path.Join(usbDevices, device, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// served reports whether a PC/SC reader is this device: drivers name a reader
// after the strings of its USB descriptors.
func (e *examination) served(d usbReader) bool {
	for _, r := range e.found {
		name := strings.ToLower(r.Name)
		if d.product != "" && strings.Contains(name, strings.ToLower(d.product)) {
			return true
		}
	}
	return false
}

// grabbers are the kernel modules that take readers with a near-field
// interface away from the PC/SC service.
func grabbers() []string { return []string{"pn533_usb", "pn533", "nfc"} }

func (e *examination) kernelModules(context.Context) Check {
	check := Check{Name: "kernel-modules", Result: Pass, Detail: "no kernel module that takes over readers"}
	if e.probe.OS != "linux" {
		check.Result, check.Detail = Skip, "checked on Linux only"
		return check
	}
	var loaded []string
	for _, name := range grabbers() {
		if e.exists("sys/module/" + name) {
			loaded = append(loaded, name)
		}
	}
	if len(loaded) > 0 {
		check.Result = Warn
		check.Detail = "kernel modules that may take near-field readers from the PC/SC service: " + strings.Join(loaded, ", ")
		check.Next = advice.Run(append([]string{"sudo", "modprobe", "-r"}, loaded...)...)
	}
	return check
}
