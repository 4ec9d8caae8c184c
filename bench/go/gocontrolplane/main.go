// A control plane made with go-control-plane, for comparison: its delta ADS server over mutual TLS, serving the very
// resources that our xds serves, from a snapshot for each group of proxies.
//
//	gocontrolplane FOLDER
//	gocontrolplane -linear FOLDER
//
// With -linear, load assignments come from one linear cache for all groups instead: the cheapest way the library has
// to change one of them. FOLDER holds passports.json (bench/client_certificates.py) and resources.json (bench/peers/recorded.py).
// It answers as package child has it, and ends when its input does.
package main

import (
	"context"
	"flag"
	"log"
	"net"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"osm.example/bench/child"
	"osm.example/bench/passports"
)

func main() {
	log.SetFlags(0)
	linear := flag.Bool("linear", false, "serve load assignments from one linear cache")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("gocontrolplane: expected one folder")
	}
	if err := run(flag.Arg(0), *linear); err != nil {
		log.Fatalf("gocontrolplane: %v", err)
	}
}

func run(folder string, linear bool) error {
	world, err := readWorld(folder)
	if err != nil {
		return err
	}
	found, err := passports.Read(folder)
	if err != nil {
		return err
	}
	secured, err := found.Serving()
	if err != nil {
		return err
	}
	store, err := newStore(world, linear)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	eye := newEye()
	server3 := server.NewServer(context.Background(), store.cache, eye.callbacks())
	rpc := grpc.NewServer(grpc.Creds(credentials.NewTLS(secured)))
	discovery.RegisterAggregatedDiscoveryServiceServer(rpc, server3)
	ended := make(chan error, 1)
	go func() { ended <- rpc.Serve(listener) }()
	defer rpc.Stop()

	if err := child.Say(serving{Target: listener.Addr().String(), RssBytes: child.RSSBytes()}); err != nil {
		return err
	}
	hand := hand{store: store, eye: eye}
	answers := map[string]func(child.Ask) (any, error){
		"connected":     func(child.Ask) (any, error) { return eye.connected(), nil },
		"move endpoint": func(asked child.Ask) (any, error) { return hand.moveEndpoint(asked.Rounds) },
	}
	go func() { ended <- child.AnswerAsks(answers) }()
	return <-ended
}
