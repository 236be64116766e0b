package transport

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Roots reads the authorities in a file, one or several PEM blocks. A file without any is an error.
func Roots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read authorities: %s has no certificate", file)
	}
	return pool, nil
}
