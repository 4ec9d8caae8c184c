package main

import (
	"crypto/x509"
	"fmt"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"osm.example/bench/passports"
)

// dialect is what a control plane expects of its proxies beyond Envoy's protocol.
type dialect struct {
	node  func(number int, name string, leaf *x509.Certificate) (*core.Node, error)
	known []name // what proxies do not ask for although it is referred to
}

var envoyDialect = dialect{
	node: func(_ int, name string, _ *x509.Certificate) (*core.Node, error) { return &core.Node{Id: name}, nil },
}

// Istio's proxies get secrets from the agent beside them.
var istioDialect = dialect{
	node:  sidecar,
	known: []name{{resource.SecretType, "default"}, {resource.SecretType, "ROOTCA"}},
}

// sidecar says namespace and account, which are those of the certificate: spiffe://<trust domain>/ns/<ns>/sa/<sa>.
func sidecar(number int, name string, leaf *x509.Certificate) (*core.Node, error) {
	if len(leaf.URIs) != 1 {
		return nil, fmt.Errorf("%s: its certificate has %d URIs, expected one", name, len(leaf.URIs))
	}
	parts := strings.Split(leaf.URIs[0].Path, "/")
	if len(parts) != 5 {
		return nil, fmt.Errorf("%s: its certificate is for %s, expected /ns/<ns>/sa/<sa>", name, leaf.URIs[0].Path)
	}
	namespace, account := parts[2], parts[4]
	metadata, err := structpb.NewStruct(map[string]any{
		"NAMESPACE": namespace, "SERVICE_ACCOUNT": account, "CLUSTER_ID": "Kubernetes",
	})
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("10.250.%d.%d", number/256, number%256)
	id := fmt.Sprintf("sidecar~%s~%s~%s.svc.cluster.local", address, name, namespace)
	return &core.Node{Id: id, Metadata: metadata}, nil
}

// proxies are the first so many of the passports.
func (d dialect) proxies(found *passports.Passports, target string, streams int, tally *tally) ([]*proxy, error) {
	known := newReferences()
	made := make([]*proxy, streams)
	for number := range made {
		secured, err := found.Proxy(number)
		if err != nil {
			return nil, err
		}
		node, err := d.node(number, found.Proxies[number].Name, secured.Certificates[0].Leaf)
		if err != nil {
			return nil, err
		}
		made[number] = &proxy{
			target: target, secured: secured, node: node, known: d.known, references: known, tally: tally,
		}
	}
	return made, nil
}
