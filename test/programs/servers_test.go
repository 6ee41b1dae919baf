//go:build stack

package programs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// welcome is what the pages of the servers show to who has the certificate of the card.
const welcome = "Welcome, " + subject

// servers start a web server on localhost that asks for a certificate of the desk's
// authority. It runs until the test ends. They return the address of its page.
var servers = map[string]func(*testing.T, *stack.Desk) string{"nginx": nginx, "Apache": apache}

func nginx(t *testing.T, d *stack.Desk) string {
	t.Helper()
	return startNginx(t, d, admission{authority: "ca.pem"})
}

// admission is whom a server lets in: who has a certificate of the authority that is not
// in its CRL. They are files of the desk; without a CRL nothing is revoked.
type admission struct{ authority, crl string }

func startNginx(t *testing.T, d *stack.Desk, a admission) string {
	t.Helper()
	return serve(t, d, a, nginxConfiguration, "ssl_crl CRL;", "nginx", "-e", "stderr", "-c")
}

// The words in capitals are replaced.
const nginxConfiguration = `
daemon off;
pid DIRECTORY/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path DIRECTORY/body;
	proxy_temp_path DIRECTORY/proxy;
	fastcgi_temp_path DIRECTORY/fastcgi;
	uwsgi_temp_path DIRECTORY/uwsgi;
	scgi_temp_path DIRECTORY/scgi;
	default_type text/html;
	server {
		listen 127.0.0.1:PORT ssl;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_certificate CERTIFICATE;
		ssl_certificate_key KEY;
		ssl_client_certificate AUTHORITY;
		REVOCATION
		ssl_verify_client on;
		location / {
			return 200 "<title>nginx: Welcome, $ssl_client_s_dn</title><h1>Welcome, $ssl_client_s_dn</h1>";
		}
	}
}
`

func apache(t *testing.T, d *stack.Desk) string {
	t.Helper()
	return startApache(t, d, admission{authority: "ca.pem"})
}

func startApache(t *testing.T, d *stack.Desk, a admission) string {
	t.Helper()
	return serve(t, d, a, apacheConfiguration, "SSLCARevocationCheck chain\nSSLCARevocationFile CRL", "apache2", "-D", "FOREGROUND", "-f")
}

// User and Group are those of the workers, if Apache is started by root.
const apacheConfiguration = `
ServerRoot DIRECTORY
ServerName localhost
PidFile DIRECTORY/pid
DefaultRuntimeDir DIRECTORY
ErrorLog /dev/stderr
User nobody
Group nogroup
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule include_module /usr/lib/apache2/modules/mod_include.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen 127.0.0.1:PORT
TypesConfig /dev/null
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
DocumentRoot DIRECTORY
DirectoryIndex index.shtml
<Directory DIRECTORY>
	Options +Includes
	Require all granted
</Directory>
SSLEngine on
SSLCertificateFile CERTIFICATE
SSLCertificateKeyFile KEY
SSLCACertificateFile AUTHORITY
REVOCATION
SSLVerifyClient require
SSLOptions +StdEnvVars
`

const apachePage = `<title>Apache: Welcome, <!--#echo var="SSL_CLIENT_S_DN" --></title><h1>Welcome, <!--#echo var="SSL_CLIENT_S_DN" --></h1>`

// serve starts a server, whose last argument is its configuration, in a directory that
// its workers can read. The configuration has the line revocation if there is a CRL.
func serve(t *testing.T, d *stack.Desk, a admission, configuration, revocation, program string, args ...string) string {
	t.Helper()
	directory := stack.Shared(t, program+"-")
	write(t, filepath.Join(directory, "index.shtml"), apachePage)
	port := stack.FreePort(t)
	certificate, key := d.Authority().Server()
	if a.crl == "" {
		revocation = ""
	}
	configuration = strings.ReplaceAll(configuration, "REVOCATION", revocation)
	file := filepath.Join(directory, "configuration")
	write(t, file, strings.NewReplacer("DIRECTORY", directory, "PORT", port, "CERTIFICATE", certificate, "KEY", key,
		"AUTHORITY", d.Path(a.authority), "CRL", d.Path(a.crl)).Replace(configuration))
	d.Start(program+".log", program, append(args, file)...)
	d.Eventually(program+" answers", func() bool { return answers("localhost:" + port) })
	return "https://localhost:" + port + "/"
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// answers reports whether a TLS server presents itself; whom it lets in does not matter.
func answers(address string) bool {
	presented := false
	connection, err := tls.Dial("tcp", address, &tls.Config{
		InsecureSkipVerify:    true, // it is not used
		MaxVersion:            tls.VersionTLS12,
		VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { presented = true; return nil },
	})
	if err == nil {
		_ = connection.Close()
	}
	return presented
}
