// The process that plays the proxies: so many streams, each on a connection of its own, as Envoys have.
//
//	proxies FOLDER TARGET STREAMS
//	proxies -istio [-a-second N] FOLDER TARGET STREAMS
//
// It is in Go so that what is measured is the server: both share the machine's cores. FOLDER holds passports.json
// (bench/client_certificates.py). With -istio, proxies say who they are as Istio's do, and so many connect in each second (0: all
// at once), since Istio refuses those above its limit. It says when all are configured, answers as package child has
// it, and ends when its input does, or with an error when a configured proxy loses its stream.
package main

import (
	"flag"
	"fmt"
	"log"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"osm.example/bench/child"
	"osm.example/bench/passports"
)

// One core is left to the server. What is kept for a stream is small and what a push leaves behind smaller: the
// collector may come seldom, unless thousands of first configurations fill the memory.
const (
	cores       = 1
	gcPercent   = 400
	memoryLimit = 2 << 30
)

// configured: every stream has all that it asked for. Seconds of the clock that all processes read.
type configured struct {
	BeganS float64 `json:"began_s"`
	DoneS  float64 `json:"done_s"`
}

// cpu is the processor time of the process so far.
type cpu struct {
	CPUS float64 `json:"cpu_s"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("proxies: ")
	runtime.GOMAXPROCS(cores)
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	istio := flag.Bool("istio", false, "speak as Istio's proxies do")
	aSecond := flag.Int("a-second", 0, "proxies that connect in each second; 0: all at once")
	flag.Parse()
	if flag.NArg() != 3 {
		log.Fatal("expected a folder, a target and a number of streams")
	}
	streams, err := strconv.Atoi(flag.Arg(2))
	if err != nil {
		log.Fatalf("streams: %v", err)
	}
	dialect := envoyDialect
	if *istio {
		dialect = istioDialect
	}
	if err := run(flag.Arg(0), flag.Arg(1), streams, *aSecond, dialect); err != nil {
		log.Fatal(err)
	}
}

func run(folder, target string, streams, aSecond int, dialect dialect) error {
	found, err := passports.Read(folder)
	if err != nil {
		return err
	}
	if streams > len(found.Proxies) {
		return fmt.Errorf("passports.json has %d proxies, asked for are %d", len(found.Proxies), streams)
	}
	tally := newTally(streams)
	proxies, err := dialect.proxies(found, target, streams, tally)
	if err != nil {
		return err
	}
	ended := make(chan error, streams+1)
	go func() { ended <- play(proxies, aSecond, tally, ended) }()
	return <-ended
}

// play connects them all, says when they are configured, and answers until the input ends.
func play(proxies []*proxy, aSecond int, tally *tally, ended chan<- error) error {
	beganS := child.MonotonicS()
	var waiting sync.WaitGroup
	waiting.Add(len(proxies))
	for _, each := range proxies {
		go func() { ended <- each.run(waiting.Done) }()
		if aSecond > 0 {
			time.Sleep(time.Second / time.Duration(aSecond))
		}
	}
	waiting.Wait()
	if err := child.Say(configured{BeganS: beganS, DoneS: child.MonotonicS()}); err != nil {
		return err
	}
	return child.AnswerAsks(map[string]func(child.Ask) (any, error){
		"cpu":      func(child.Ask) (any, error) { return cpu{CPUS: child.CPUS()}, nil },
		"received": func(child.Ask) (any, error) { return tally.received(), nil },
		"arm":      func(asked child.Ask) (any, error) { return tally.arm(asked.Sought), nil },
		"answered": func(child.Ask) (any, error) { return tally.answered(), nil },
	})
}
