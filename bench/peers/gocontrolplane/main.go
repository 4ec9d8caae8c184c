// A control plane made with go-control-plane, for comparison: its delta ADS server over mutual TLS, serving the very
// resources that our xds serves, from a snapshot for each group of proxies.
//
//	gocontrolplane FOLDER
//	gocontrolplane -linear FOLDER
//
// With -linear, load assignments come from one linear cache for all groups instead: the cheapest way the library has
// to change one of them. FOLDER holds passports.json (bench/passports.py) and resources.json (bench/peers/recorded.py).
// It is asked over its standard input and answers over its standard output, one JSON line each, as bench/child.py has
// it; it ends when its input does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
)

type ask struct {
	Do     string `json:"do"`
	Rounds int    `json:"rounds"`
}

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
	secured, err := mutualTLS(folder)
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
	rpc := grpc.NewServer(grpc.Creds(secured))
	discovery.RegisterAggregatedDiscoveryServiceServer(rpc, server3)
	ended := make(chan error, 1)
	go func() { ended <- rpc.Serve(listener) }()
	defer rpc.Stop()

	say(serving{Target: listener.Addr().String(), RssBytes: rssBytes()})
	go func() { ended <- answerAsks(hand{store: store, eye: eye}) }()
	return <-ended
}

func answerAsks(hand hand) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked ask
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		switch asked.Do {
		case "connected":
			say(hand.eye.connected())
		case "move endpoint":
			found, err := hand.moveEndpoint(asked.Rounds)
			if err != nil {
				return err
			}
			say(found)
		default:
			return fmt.Errorf("asked to do %q, known are \"connected\" and \"move endpoint\"", asked.Do)
		}
	}
	return lines.Err()
}

func say(answer any) {
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatalf("gocontrolplane: cannot answer: %v", err)
	}
}
