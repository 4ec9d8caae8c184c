// Package passports reads what bench/client_certificates.py writes: names, keys and certificates, for both ends of mutual TLS.
package passports

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Passport is a name with its key and chain, in PEM.
type Passport struct {
	Name     string `json:"name"`
	ChainPEM string `json:"chain_pem"`
	KeyPEM   string `json:"key_pem"`
}

// Passports are those of all proxies and of a server, the roots they trust, and the name to expect of a server.
type Passports struct {
	Proxies    []Passport `json:"proxies"`
	Server     Passport   `json:"server"`
	RootsPEM   string     `json:"roots_pem"`
	ServerName string     `json:"server_name"`
	roots      *x509.CertPool
}

// Read takes passports.json of a folder.
func Read(folder string) (*Passports, error) {
	text, err := os.ReadFile(filepath.Join(folder, "passports.json"))
	if err != nil {
		return nil, err
	}
	var found Passports
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, err
	}
	found.roots = x509.NewCertPool()
	if !found.roots.AppendCertsFromPEM([]byte(found.RootsPEM)) {
		return nil, errors.New("passports.json: roots_pem holds no certificate")
	}
	return &found, nil
}

// Proxy is the TLS of one proxy: it shows its certificate, and demands one that names the server. It offers the one
// key exchange that all servers here know, so that none has to do a dearer one than others.
func (p *Passports) Proxy(number int) (*tls.Config, error) {
	own, err := p.Proxies[number].pair()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:     []tls.Certificate{own},
		RootCAs:          p.roots,
		ServerName:       p.ServerName,
		MinVersion:       tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.CurveP256},
		NextProtos:       []string{"h2"},
	}, nil
}

// Serving is the TLS of a server, which asks every proxy for its certificate, as xds does.
func (p *Passports) Serving() (*tls.Config, error) {
	own, err := p.Server.pair()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{own},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    p.roots,
		MinVersion:   tls.VersionTLS12,
	}, nil
}

func (p Passport) pair() (tls.Certificate, error) {
	own, err := tls.X509KeyPair([]byte(p.ChainPEM), []byte(p.KeyPEM))
	if err != nil {
		return own, fmt.Errorf("passport %s: %w", p.Name, err)
	}
	return own, nil
}
