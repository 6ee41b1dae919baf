package stack

import "net"

// CMPServer starts OpenSSL's CMP server at a port of localhost, which gives one certificate
// to everybody: rsp_cert of its options. It ends with the test, or when stop is called.
func (d *Desk) CMPServer(port string, options ...string) (stop func()) {
	d.tb.Helper()
	stop = d.Start("cmp-"+port+".log", "openssl", append([]string{"cmp", "-config", "", "-port", port}, options...)...)
	d.Eventually("the CMP server answers", func() bool {
		connection, err := net.Dial("tcp", "localhost:"+port)
		if err != nil {
			return false
		}
		return connection.Close() == nil
	})
	return stop
}

// RegistrationAuthority makes ra.csr.pem with ra.key, which the desk's authority has certified to
// answer for it in CMP.
func (d *Desk) RegistrationAuthority() {
	d.tb.Helper()
	d.Run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "ra.key", "-out", "ra.csr", "-subj", "/CN=RA",
		"-addext", "extendedKeyUsage=1.3.6.1.5.5.7.3.28", "-addext", "keyUsage=digitalSignature")
	d.Authority().Sign(d.Path("ra.csr"))
}
